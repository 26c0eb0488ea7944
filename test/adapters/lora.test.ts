// LoRA's choice of layers, its fresh tensors, and dropout on the adapter's input only. Numbers are compared with PEFT in parity/.
import { describe, expect, test } from "vitest"
import { loraAdapter, loraParameters } from "#src/adapters/lora.ts"
import { targetLinears } from "#src/adapters/targets.ts"
import { Graph } from "#src/graph/Graph.ts"
import { mul } from "#src/graph/ops/elementwise.ts"
import { runGraph } from "../graph/runGraph.ts"
import { failureOf, tinyModel } from "../models/folder.ts"

const options = (targetModules: "all-linear" | readonly string[]) => ({ r: 2, loraAlpha: 6, targetModules })

describe("targetLinears", () => {
  const paths = (targetModules: "all-linear" | readonly string[]) => targetLinears(tinyModel(), targetModules).map(({ path }) => path)

  test("a module name matches the end of a path at a dot", () => {
    expect(paths(["q_proj"])).toEqual(["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"])
    expect(paths(["model.layers.1.mlp.up_proj", "0.self_attn.v_proj"])).toEqual([
      "model.layers.0.self_attn.v_proj",
      "model.layers.1.mlp.up_proj"
    ])
  })

  test("all-linear is every linear layer but the head", () => {
    expect(paths("all-linear").length).toBe(14)
    expect(paths("all-linear").some((path) => path.includes("lm_head"))).toBe(false)
  })

  test.each(["proj", "query", "lm_head"])("%s fits no layer", async (name) => {
    const error = await failureOf(() => paths(["q_proj", name]))
    expect(error.message).toMatch(`"${name}"`)
    expect(error.why).toMatch(/available: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or "all-linear"/)
  })
})

test("fresh tensors: A uniform within 1 / sqrt(in), B zero, by the seed", () => {
  const model = tinyModel({ hidden_size: 400 })
  const [a, b] = loraParameters(model, options(["q_proj"])).map(({ name, shape }) => ({ name, shape }))
  expect(a).toEqual({ name: "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", shape: [2, 400] })
  expect(b).toEqual({ name: "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", shape: [400, 2] })
  const read = (name: string, seed: number) =>
    loraAdapter(model, options(["q_proj"]))
      .initial({ has: () => false, read: () => new Float32Array() }, seed)
      .read(name)
  const values = read(a!.name, 1)
  expect(Math.max(...values)).toBeLessThanOrEqual(0.05)
  expect(Math.max(...values)).toBeGreaterThan(0.048)
  expect(Math.min(...values)).toBeLessThan(-0.048)
  expect(read(b!.name, 1).every((x) => x === 0)).toBe(true)
  expect(read(a!.name, 2)).not.toEqual(values)
})

test("y = x W^T + (loraAlpha / r) ((x * mask) A^T) B^T; a layer that is no target stays as it is", async () => {
  const model = tinyModel()
  const [q, k] = model.linears
  const graph = new Graph()
  const fill = (shape: readonly number[], seed: number) =>
    Float32Array.from({ length: shape.reduce((product, dim) => product * dim, 1) }, (_, i) => Math.sin(seed + i))
  const [x, w, wk, a, b] = [fill([3, 8], 1), fill([8, 8], 2), fill([4, 8], 3), fill([2, 8], 4), fill([8, 2], 5)] as const
  const mask = Float32Array.from({ length: 24 }, (_, i) => (i % 3 === 0 ? 0 : 1.5))
  const { linear } = loraAdapter(model, options(["q_proj"])).hooks({
    param: (name) => (name.includes("lora_A") ? graph.constant(a, "float32", [2, 8]) : graph.constant(b, "float32", [8, 2])),
    dropout: (_, input) => mul(input, graph.constant(mask, "float32", [3, 8]))
  })
  const input = graph.constant(x, "float32", [3, 8])
  graph.output("q", linear!({ layer: q!, x: input, weight: graph.constant(w, "float32", [8, 8]), bias: undefined }))
  graph.output("k", linear!({ layer: k!, x: input, weight: graph.constant(wk, "float32", [4, 8]), bias: undefined }))
  const out = await runGraph(graph, {})
  /** x [m, n] W^T of W [rows, n]. */
  const product = (left: Float32Array, right: Float32Array, n: number) => {
    const rows = right.length / n
    return Float32Array.from({ length: (left.length / n) * rows }, (_, i) => {
      let sum = 0
      for (let j = 0; j < n; j++) sum += left[Math.floor(i / rows) * n + j]! * right[(i % rows) * n + j]!
      return sum
    })
  }
  const low = product(
    product(
      x.map((value, i) => value * mask[i]!),
      a,
      8
    ),
    b,
    2
  )
  const expected = product(x, w, 8).map((value, i) => value + 3 * low[i]!)
  expected.forEach((value, i) => expect(Number(out["q"]![i])).toBeCloseTo(value, 4))
  product(x, wk, 8).forEach((value, i) => expect(Number(out["k"]![i])).toBeCloseTo(value, 5))
})
