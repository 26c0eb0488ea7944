// Rotary frequencies: golden vectors of Llama 3.2 (computed in numpy from the definition).
import { expect, test } from "vitest"
import { inverseFrequencies } from "#src/models/rope.ts"

const llama3 = {
  rope_type: "llama3",
  rope_theta: 5e5,
  factor: 32,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192
}

const golden: readonly (readonly [number, Readonly<Record<number, number>>])[] = [
  [64, { 0: 1, 1: 0.66360124, 14: 0.003211446, 15: 0.0012905479, 16: 0.0004295568, 17: 9.7082878e-5, 18: 1.9461638e-5, 31: 9.4183067e-8 }],
  [128, { 29: 0.002118407, 30: 0.0012905479, 34: 9.7082878e-5, 35: 2.3890531e-5, 63: 7.672315e-8 }]
]

test.each(golden)("llama3 scaling, head_dim %i", (headDim, values) => {
  const frequencies = inverseFrequencies(llama3, headDim, "config.json")
  expect(frequencies.length).toBe(headDim / 2)
  for (const [i, value] of Object.entries(values)) expect(Math.abs(frequencies[Number(i)]! / value - 1), `index ${i}`).toBeLessThan(1e-6)
})

test("default", () => {
  expect([...inverseFrequencies({ rope_type: "default", rope_theta: 10000 }, 4, "config.json")]).toEqual([1, Math.fround(0.01)])
})
