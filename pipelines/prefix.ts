// The quickstart's task with a trained prefix in front of every layer and not one of the model's weights changed.
// Run it beside the other methods: npm run methods
import { evaluate, prefix, pipeline, register, train } from "anneal"
import { desk, schedule, scored } from "./data/desk.ts"

export default pipeline("prefix", { objective: "the quickstart's task, a trained prefix" }, () => {
  const { base, tokens } = desk()
  // Few values, which are keys and values themselves: a far higher rate and more passes than weights need.
  const model = train({ tokens, base }, { ...schedule, epochs: 6, method: prefix({ numVirtualTokens: 32 }), learningRate: 0.2 })
  const scores = evaluate({ model, tokens: tokens.test, baseline: base }, scored)
  return register(model, scores, { name: "desk-prefix", requires: { perplexity: "better than baseline" } })
})
