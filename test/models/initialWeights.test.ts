// Random weights: the distribution that the config asks for, the same for the same seed.
import { expect, test } from "vitest"
import { initialWeights } from "#src/models/initialWeights.ts"
import { tinyModel } from "./folder.ts"

const moments = (values: Float32Array) => {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length
  return { mean, deviation: Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length) }
}

test("matrices are normal with the config's deviation, norms 1, biases 0, the padding row 0", () => {
  const model = tinyModel({ vocab_size: 2000, initializer_range: 0.5, attention_bias: true, pad_token_id: 3 })
  const weights = initialWeights(model, 9)
  const embedding = weights.read("model.embed_tokens.weight")
  const { mean, deviation } = moments(embedding)
  expect(Math.abs(mean)).toBeLessThan(0.02)
  expect(Math.abs(deviation - 0.5)).toBeLessThan(0.02)
  expect([...embedding.subarray(24, 32)]).toEqual(new Array<number>(8).fill(0))
  expect(embedding.subarray(16, 24).every((x) => x !== 0)).toBe(true)
  expect(weights.read("model.norm.weight").every((x) => x === 1)).toBe(true)
  expect(weights.read("model.layers.0.self_attn.q_proj.bias").every((x) => x === 0)).toBe(true)
})

test("seed and tensor name decide", () => {
  const model = tinyModel()
  const q = (seed: number, layer: number) => initialWeights(model, seed).read(`model.layers.${layer}.self_attn.q_proj.weight`)
  expect(q(1, 0)).toEqual(q(1, 0))
  expect(q(1, 0)).not.toEqual(q(2, 0))
  expect(q(1, 0)).not.toEqual(q(1, 1))
})
