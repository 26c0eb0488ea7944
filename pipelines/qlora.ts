// The quickstart's task with LoRA over a base held in 4 bits.
// Run it beside the other methods: npm run methods
import { evaluate, qlora, pipeline, register, train } from "anneal"
import { desk, schedule, scored } from "./data/desk.ts"

export default pipeline("qlora", { objective: "the quickstart's task, LoRA over 4-bit weights" }, () => {
  const { base, tokens } = desk()
  const model = train(
    { tokens, base },
    {
      ...schedule,
      method: qlora({ r: 16, loraAlpha: 32, targetModules: "all-linear", modulesToSave: ["embed_tokens"], ensureWeightTying: true }),
      learningRate: 4e-3
    }
  )
  const scores = evaluate({ model, tokens: tokens.test, baseline: base }, scored)
  return register(model, scores, { name: "desk-qlora", requires: { perplexity: "better than baseline" } })
})
