// Wiring a wrong kind of output must not compile: each line under a ts-expect-error would be a bug if it did.
import { baseModel, evaluate, format, ingest, pipeline, register, split, train } from "anneal"

pipeline("types", () => {
  const base = baseModel("models/base")
  const rows = ingest({ from: "rows.jsonl", as: "instruction" })
  const parts = split(rows, { validation: 0.1, test: 0.1 })
  const tokens = format({ ...parts, base }, { maxLength: 64 })
  const model = train({ tokens, base }, { learningRate: 1e-4 })
  const scores = evaluate({ model, tokens: tokens.test, baseline: base }, {})
  register(model, scores, { name: "m" })
  train({ tokens, base }, { batchSize: "auto", device: "cuda:1", threads: 2 })
  // @ts-expect-error a batch size is a number or "auto"
  train({ tokens, base }, { batchSize: "all" })
  // @ts-expect-error no such device
  train({ tokens, base }, { device: "gpu" })
  // @ts-expect-error rows are not tokens
  train({ tokens: { train: rows }, base })
  // @ts-expect-error a base is not a model
  evaluate({ model: base, tokens: tokens.test, baseline: base })
  // @ts-expect-error learningRate is a number
  train({ tokens, base }, { learningRate: "fast" })
  // @ts-expect-error no such option
  train({ tokens, base }, { learningrate: 1 })
  // @ts-expect-error scores come second
  register(scores, model, { name: "m" })
})
