// Teaches a tiny model to turn requests that reach the desk of an inn into one strict line:
//   "Please book 2 nights for Mrs Ashbrook from the 3rd of March 2031, about 420 euros."
//   -> "room; name: Ashbrook; date: 2031-03-03; nights: 2; amount: 420.00 EUR"
// Run: npx anneal run quickstart
import { augment, baseModel, evaluate, format, full, ingest, pipeline, register, split, train, validate } from "anneal"

export default pipeline("quickstart", { objective: "turn requests at an inn's desk into one strict line" }, () => {
  const base = baseModel("pipelines/models/base")
  const rows = ingest({ from: "pipelines/data/rows.jsonl", as: "instruction" })
  const checked = validate(rows, { minRows: 600, maxEmptyShare: 0, maxDuplicateShare: 0 })
  const parts = split(checked, { validation: 0.05, test: 0.1, seed: 42 })
  const more = augment(parts.train, { insert: 0.01, delete: 0.02, seed: 42 })
  const tokens = format({ train: more, validation: parts.validation, test: parts.test, base }, { template: "plain", maxLength: 160 })
  // full(), because the strict line uses signs that the base never saw, and an adapter leaves the output layer as it is.
  const model = train(
    { tokens, base },
    {
      method: full(),
      epochs: 2,
      batchSize: 16,
      learningRate: 2e-3,
      schedule: "cosine",
      warmupRatio: 0.1
    }
  )
  const scores = evaluate(
    { model, tokens: tokens.test, baseline: base },
    { metrics: ["perplexity", "tokenAccuracy", "exactMatch"], maxNewTokens: 56 }
  )
  return register(model, scores, { name: "desk", requires: { exactMatch: "better than baseline" } })
})
