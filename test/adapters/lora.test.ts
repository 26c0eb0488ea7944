// LoRA's fresh tensors, dropout on the adapter's input only, DoRA's dropout, rates of LoRA+. Numbers are compared with PEFT in parity/.
import { expect, test } from "vitest"
import { loraAdapter } from "#src/adapters/lora.ts"
import { loraConfigOf } from "#src/adapters/loraConfig.ts"
import { Graph } from "#src/graph/Graph.ts"
import { mul } from "#src/graph/ops/elementwise.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import type { Model } from "#src/models/Model.ts"
import { tuningOf } from "#src/runtime/Tuning.ts"
import { runGraph } from "../graph/runGraph.ts"
import { tinyModel } from "../models/folder.ts"
import { loraMethod } from "./method.ts"

const adapterWith = (model: Model, options: Parameters<typeof loraMethod>[0] = {}) =>
  loraAdapter(model, loraConfigOf(model, loraMethod({ r: 2, loraAlpha: 6, ...options }), ""))

test("fresh tensors: A uniform within 1 / sqrt(in), B zero, by the seed", () => {
  const model = tinyModel({ hidden_size: 400 })
  const { parameters } = adapterWith(model, { targetModules: ["q_proj"] })
  const [a, b] = parameters.map(({ name, shape }) => ({ name, shape }))
  expect(a).toEqual({ name: "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", shape: [2, 400] })
  expect(b).toEqual({ name: "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", shape: [400, 2] })
  const read = (name: string, seed: number) =>
    adapterWith(model, { targetModules: ["q_proj"] })
      .initial(initialWeights(model, 0), seed)
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
  const { linear } = adapterWith(model, { targetModules: ["q_proj"] }).hooks({
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

test.each([
  ["gaussian" as const, 1 / 2, 0],
  [false as const, 1 / Math.sqrt(3 * 400), 1 / Math.sqrt(3 * 2)]
])("first values %s: spread of A and B", (initLoraWeights, ofA, ofB) => {
  const model = tinyModel({ hidden_size: 400 })
  const adapter = adapterWith(model, { targetModules: ["q_proj"], initLoraWeights })
  const fresh = adapter.initial(initialWeights(model, 0), 4)
  const spread = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)
  const [a, b] = adapter.parameters
  expect(Math.abs(spread(fresh.read(a!.name)) - ofA)).toBeLessThan(0.05 * ofA)
  expect(Math.abs(spread(fresh.read(b!.name)) - ofB)).toBeLessThanOrEqual(0.05 * ofB)
})

test("scales: loraAlpha / r, by module's own, and by the square root", async () => {
  const model = tinyModel()
  const [q] = model.linears
  const scaleOf = async (options: Parameters<typeof loraMethod>[0]) => {
    const graph = new Graph()
    const adapter = adapterWith(model, { targetModules: ["q_proj"], ...options })
    const ones = (shape: readonly number[]) => new Float32Array(shape.reduce((n, dim) => n * dim, 1)).fill(1)
    const shapes = new Map(adapter.parameters.map(({ name, shape }) => [name, shape]))
    const { linear } = adapter.hooks({ param: (name) => graph.constant(ones(shapes.get(name)!), "float32", shapes.get(name)!) })
    const x = graph.constant(ones([1, 8]), "float32", [1, 8])
    graph.output("y", linear!({ layer: q!, x, weight: graph.constant(new Float32Array(64), "float32", [8, 8]), bias: undefined }))
    const rank = shapes.get(adapter.parameters[0]!.name)![0]!
    return Number((await runGraph(graph, {}))["y"]![0]) / (8 * rank)
  }
  expect(await scaleOf({})).toBeCloseTo(3)
  expect(await scaleOf({ useRslora: true })).toBeCloseTo(6 / Math.sqrt(2))
  expect(await scaleOf({ rankPattern: { q_proj: 4 }, alphaPattern: { "layers\\.0\\..*": 10 } })).toBeCloseTo(10 / 4)
})

test("LoRA+: B tensors and vectors learn faster, an adapter on the embedding at its own rate", () => {
  const method = loraMethod({
    targetModules: ["q_proj", "embed_tokens"],
    loraplusLrRatio: 16,
    modulesToSave: ["norm"],
    loraplusLrEmbedding: 2e-6
  })
  const { trainables } = tuningOf(tinyModel(), method, 1e-4)
  const scales = (part: string) => new Set(trainables.filter(({ name }) => name.includes(part)).map((each) => each.learningRateScale ?? 1))
  expect(scales("lora_A.")).toEqual(new Set([1]))
  expect(scales("lora_B.")).toEqual(new Set([16]))
  expect(scales("norm.weight")).toEqual(new Set([16]))
  expect([...scales("lora_embedding_")].map((scale) => scale * 1e-4)).toEqual([expect.closeTo(2e-6, 12) as number])
  expect(tuningOf(tinyModel(), loraMethod(), 1e-4).trainables.every((each) => each.learningRateScale === undefined)).toBe(true)
})

test("DoRA with dropout: y = x W^T + b + (q - 1) d(x) W^T + q scale d(x) A^T B^T", async () => {
  const model = tinyModel()
  const [q] = model.linears
  const adapter = adapterWith(model, { targetModules: ["q_proj"], useDora: true, loraDropout: 0.5 })
  const graph = new Graph()
  const fill = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(seed + i * i))
  const [x, w, a, b, m, bias, mask] = [fill(8, 1), fill(64, 2), fill(16, 3), fill(16, 4), fill(8, 5), fill(8, 6), fill(8, 7)]
  const { linear } = adapter.hooks({
    param: (name) =>
      name.includes("lora_A")
        ? graph.constant(a, "float32", [2, 8])
        : name.includes("lora_B")
          ? graph.constant(b, "float32", [8, 2])
          : graph.constant(m, "float32", [8]),
    dropout: (_, input) => mul(input, graph.constant(mask, "float32", [1, 8]))
  })
  const call = { layer: q!, x: graph.constant(x, "float32", [1, 8]), weight: graph.constant(w, "float32", [8, 8]) }
  graph.output("y", linear!({ ...call, bias: graph.constant(bias, "float32", [8]) }))
  const { y } = await runGraph(graph, {})
  const dot = (n: number, term: (i: number) => number) =>
    Array.from({ length: n }, (_, i) => term(i)).reduce((sum, value) => sum + value, 0)
  for (let o = 0; o < 8; o++) {
    const row = Array.from({ length: 8 }, (_, i) => w[o * 8 + i]! + 3 * dot(2, (k) => b[o * 2 + k]! * a[k * 8 + i]!))
    const factor = m[o]! / Math.hypot(...row)
    const plain = dot(8, (i) => w[o * 8 + i]! * x[i]!)
    const dropped = dot(8, (i) => w[o * 8 + i]! * x[i]! * mask[i]!)
    const low = 3 * dot(2, (k) => b[o * 2 + k]! * dot(8, (i) => a[k * 8 + i]! * x[i]! * mask[i]!))
    expect(Number(y![o])).toBeCloseTo(plain + bias[o]! + (factor - 1) * dropped + factor * low, 4)
  }
})
