// The quickstart's task with LoRA on every linear layer; the embedding, which is the output layer too, is trained whole: the strict line uses signs
// that the base never saw, and LoRA alone cannot teach it to write or read them (docs/results.md).
// Run it beside the other methods: npm run methods
import { evaluate, lora, pipeline, register, train } from "anneal"
import { desk, schedule, scored } from "./data/desk.ts"

export default pipeline("lora", { objective: "the quickstart's task, LoRA and the embedding" }, () => {
  const { base, tokens } = desk()
  const model = train(
    { tokens, base },
    {
      ...schedule,
      method: lora({ r: 16, loraAlpha: 32, targetModules: "all-linear", modulesToSave: ["embed_tokens"], ensureWeightTying: true }),
      learningRate: 4e-3
    }
  )
  const scores = evaluate({ model, tokens: tokens.test, baseline: base }, scored)
  return register(model, scores, { name: "desk-lora", requires: { perplexity: "better than baseline" } })
})
