// Trains the quickstart's base model from random weights on the project's own text, the diary of an inn (pipelines/data/make.ts).
// evaluate compares it with the committed one. Takes about 10 minutes on 2 cores. Run: npx anneal run base
// Then, to replace the committed one: npx anneal export model base <new folder>, and copy its config.json, model.safetensors, tokenizer.json and
// tokenizer_config.json to pipelines/models/base
import { baseModel, evaluate, format, full, ingest, pipeline, register, split, train } from "anneal"

export default pipeline("base", { objective: "a tiny model of plain English that carries names, dates and amounts along" }, () => {
  const untrained = baseModel("pipelines/models/untrained", { id: "untrained" })
  const committed = baseModel("pipelines/models/base", { id: "committed" })
  const notes = ingest({ from: "pipelines/data/base.txt", as: "text", textUnit: "paragraph" })
  const parts = split(notes, { validation: 0.05, test: 0.05, seed: 42 })
  const tokens = format({ ...parts, base: untrained }, { template: "plain", maxLength: 256 })
  const model = train(
    { tokens, base: untrained },
    {
      method: full(),
      initialWeights: "random",
      epochs: 8,
      batchSize: 16,
      learningRate: 3e-3,
      weightDecay: 0.1,
      schedule: "cosine",
      warmupRatio: 0.05
    }
  )
  const scores = evaluate({ model, tokens: tokens.test, baseline: committed }, { metrics: ["perplexity", "tokenAccuracy"] })
  return register(model, scores, { name: "base" })
})
