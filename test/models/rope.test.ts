// Rotary frequencies: golden vectors of transformers, and of Llama 3.2 (computed in numpy from the definition).
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { describe, expect, test } from "vitest"
import type { JsonObject } from "#src/formats/decode.ts"
import { ropeOf } from "#src/models/rope.ts"
import { Graph } from "#src/graph/Graph.ts"
import { hasShared, shared } from "../shared.ts"
import { failureOf, tinyModel } from "./folder.ts"

const rope = (parameters: JsonObject, head_dim: number, max_position_embeddings = 2048) =>
  ropeOf(parameters, { head_dim, max_position_embeddings }, "config.json")
const frequencies = (parameters: JsonObject, headDim: number, length = 0) => rope(parameters, headDim).frequencies(length)

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
  const found = frequencies(llama3, headDim)
  expect(found.length).toBe(headDim / 2)
  for (const [i, value] of Object.entries(values)) expect(Math.abs(found[Number(i)]! / value - 1), `index ${i}`).toBeLessThan(1e-6)
})

test("default", () => {
  expect([...frequencies({ rope_type: "default", rope_theta: 10000 }, 4)]).toEqual([1, Math.fround(0.01)])
})

interface Vector {
  readonly head_dim: number
  readonly max_position_embeddings: number
  readonly length: number | null
  readonly attention_factor: number
  readonly rope_parameters: JsonObject
  readonly attention_scaling: number
  readonly inv_freq: readonly number[]
}

test.skipIf(!hasShared)("the shared vectors of transformers", () => {
  const { rope: vectors } = JSON.parse(readFileSync(shared("parity", "vectors", "vectors.json"), "utf8")) as {
    readonly rope: readonly Vector[]
  }
  expect(new Set(vectors.map(({ rope_parameters }) => rope_parameters["rope_type"]))).toEqual(new Set(["default", "linear", "llama3"]))
  for (const { head_dim, rope_parameters, attention_scaling, inv_freq } of vectors) {
    const found = rope(rope_parameters, head_dim)
    expect(found.attentionFactor).toBe(attention_scaling)
    const values = found.frequencies(0)
    expect(values.length).toBe(inv_freq.length)
    inv_freq.forEach((value, i) => expect(Math.abs(values[i]! / value - 1), `index ${i}`).toBeLessThan(1e-6))
  }
})

describe("every kind and parameter as transformers computes it (parity/own)", () => {
  const file = resolve(import.meta.dirname, "..", "parity", "own", "rope.json")
  const vectors = JSON.parse(readFileSync(file, "utf8")) as readonly Vector[]
  test.each(vectors)("%j", ({ head_dim, max_position_embeddings, rope_parameters, length, attention_factor, inv_freq }) => {
    const found = rope(rope_parameters, head_dim, max_position_embeddings)
    expect(Math.abs(found.attentionFactor - attention_factor)).toBeLessThan(1e-12)
    const values = found.frequencies(length ?? 0)
    expect(values.length).toBe(inv_freq.length)
    inv_freq.forEach((value, i) => expect(Math.abs(values[i]! / value - 1), `index ${i}`).toBeLessThan(2e-6))
  })
})

const packedRows = (length: number) => {
  const model = tinyModel({ max_position_embeddings: 8, head_dim: 4, rope_parameters: { rope_type: "dynamic", factor: 2 } })
  const graph = new Graph()
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, graph.input(name, "float32", shape)]))
  const place = (name: string) => graph.input(name, "int64", [1, length])
  const packing = { positions: place("within"), segments: place("segments") }
  return model.build(graph, { inputIds: place("ids"), param: (name) => shapes.get(name)!, packing })
}

test("dynamic rope does not know the length of packed documents, so rows beyond its context are refused", async () => {
  expect(packedRows(8).logits.shape).toEqual([8, 11])
  const error = await failureOf(() => packedRows(9))
  expect(error.message).toBe("rows of 9 tokens with several documents")
  expect(error.why).toMatch(/dynamic rope .* beyond 8 tokens/)
})

test("dynamic rope divides by head_dim - 2", async () => {
  expect((await failureOf(() => rope({ rope_type: "dynamic", factor: 2 }, 2))).message).toMatch(/head_dim above 2/)
})
