// Weights stored [in, out], as GPT-2's: every adapter computes with them, and is merged into them, as with [out, in].
import { expect, test } from "vitest"
import { adapterOf, configOf } from "#src/adapters/peft.ts"
import { normal } from "#src/domain/random.ts"
import { Graph } from "#src/graph/Graph.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import type { Linear, Model, Weights } from "#src/models/Model.ts"
import { runGraph } from "../graph/runGraph.ts"
import { tinyModel } from "../models/folder.ts"
import { ia3Method, loraMethod } from "./method.ts"

const model = tinyModel()
const turned: Model = {
  ...model,
  linears: model.linears.map((linear) => ({ ...linear, transposed: true })),
  parameters: model.parameters.map((each) =>
    each.shape.length === 2 && /proj/.test(each.name) ? { ...each, shape: each.shape.toReversed() } : each
  )
}
const base = initialWeights(model, 1)
const transpose = (values: Float32Array, rows: number): Float32Array => {
  const columns = values.length / rows
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!)
}
const layerOf = ({ linears }: Model, name: string): Linear => linears.find(({ path }) => path.endsWith(name))!
/** The same weights as `turned` stores them. */
const turnedBase: Weights = {
  has: base.has,
  read: (name) => {
    const linear = model.linears.find(({ path }) => `${path}.weight` === name)
    return linear === undefined ? base.read(name) : transpose(base.read(name), linear.outFeatures)
  }
}

const run = async (of: Model, weights: Weights, method: Parameters<typeof configOf>[1]) => {
  const config = configOf(of, method, "")
  const adapter = adapterOf(of, config)
  const fresh = adapter.initial(weights, 3)
  const own: Weights = { has: fresh.has, read: (name) => fresh.read(name).map((x, i) => x + 0.2 * normal(4, name.length, i)) }
  const layer = layerOf(of, "0.mlp.down_proj")
  const graph = new Graph()
  const param = (name: string) =>
    graph.constant(own.read(name), "float32", adapter.parameters.find((parameter) => parameter.name === name)!.shape)
  const shape = layer.transposed === true ? [layer.inFeatures, layer.outFeatures] : [layer.outFeatures, layer.inFeatures]
  const x = Float32Array.from({ length: 2 * layer.inFeatures }, (_, i) => Math.sin(i))
  const y = adapter.hooks({ param }).linear!({
    layer,
    x: graph.constant(x, "float32", [2, layer.inFeatures]),
    weight: graph.constant(weights.read(`${layer.path}.weight`), "float32", shape),
    bias: graph.constant(x.subarray(0, layer.outFeatures), "float32", [layer.outFeatures])
  })
  graph.output("y", y)
  return { y: [...(await runGraph(graph, {}))["y"]!].map(Number), merged: adapter.merge!(weights, own), config, names: adapter.parameters }
}

test.each([
  ["lora", loraMethod({ r: 2, targetModules: "all-linear" })],
  ["dora", loraMethod({ r: 2, targetModules: "all-linear", useDora: true })],
  ["ia3", ia3Method({ targetModules: ["q_proj", "up_proj", "down_proj"], feedforwardModules: ["down_proj"] })]
] as const)("%s", async (_, method) => {
  const [straight, other] = [await run(model, base, method), await run(turned, turnedBase, method)]
  expect([straight.config, other.config]).toMatchObject([{ fanInFanOut: false }, { fanInFanOut: true }])
  expect(other.names.map(({ name, shape }) => [name, shape])).toEqual(straight.names.map(({ name, shape }) => [name, shape]))
  straight.y.forEach((value, i) => expect(other.y[i]).toBeCloseTo(value, 5))
  for (const { path, outFeatures } of model.linears) {
    const [a, b] = [straight.merged.read(`${path}.weight`), other.merged.read(`${path}.weight`)]
    transpose(a, outFeatures).forEach((value, i) => expect(b[i]).toBeCloseTo(value, 5))
  }
  expect(straight.merged.read("model.layers.0.mlp.down_proj.weight")).not.toEqual(base.read("model.layers.0.mlp.down_proj.weight"))
})
