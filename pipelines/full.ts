// The quickstart's task with every weight of the model trained.
// Run it beside the other methods: npm run methods
import { evaluate, full, pipeline, register, train } from "anneal"
import { desk, schedule, scored } from "./data/desk.ts"

export default pipeline("full", { objective: "the quickstart's task, every weight trained" }, () => {
  const { base, tokens } = desk()
  const model = train({ tokens, base }, { ...schedule, method: full(), learningRate: 2e-3 })
  const scores = evaluate({ model, tokens: tokens.test, baseline: base }, scored)
  return register(model, scores, { name: "desk-full", requires: { perplexity: "better than baseline" } })
})
