// Gradient checkpointing and stored weights: the same bits with less memory alive.
import { expect, test } from "vitest"
import { gradients } from "#src/graph/autodiff.ts"
import { executionOrder } from "#src/graph/executionOrder.ts"
import { Graph } from "#src/graph/Graph.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { add, cast, mul, tanh } from "#src/graph/ops/elementwise.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { silu, softmax } from "#src/graph/ops/nn.ts"
import { reduceSum } from "#src/graph/ops/reduce.ts"
import { reshape, split } from "#src/graph/ops/shape.ts"
import { validate } from "#src/graph/validate.ts"
import type { Value } from "#src/graph/Value.ts"
import { random } from "./checkGrads.ts"
import { runGraph } from "./runGraph.ts"

const [layers, M, D] = [5, 4, 6]

/** Residual layers; every other weight is held as float64 and cast where it is used. */
const build = (checkpointing: boolean) => {
  const graph = new Graph()
  const x = graph.input("x", "float32", [M, D])
  const stored: Value[] = []
  const weights = Array.from({ length: layers }, (_, i) => {
    const frozen = i % 2 === 1
    const weight = graph.input(`w${i}`, frozen ? "float64" : "float32", [2 * D, D])
    if (frozen) stored.push(weight)
    return weight
  })
  const borders = [tanh(x)]
  for (const weight of weights) {
    const below = borders.at(-1)!
    const value = weight.dtype === "float32" ? weight : cast(weight, "float32")
    const [gate, up] = split(matMul(below, value, { transB: true }), [D, D], 1) as [Value, Value]
    borders.push(add(below, mul(softmax(silu(gate)), tanh(up))))
  }
  const loss = reduceSum(mul(borders.at(-1)!, borders.at(-1)!))
  graph.output("loss", loss)
  const wrt = [x, ...weights.filter(({ dtype }) => dtype === "float32")]
  const recompute = checkpointing ? { borders, stored } : {}
  gradients(loss, wrt, { recompute }).forEach((g, i) => graph.output(`g${i}`, g))
  expect(validate(graph)).toEqual([])
  return graph
}

const feeds = (graph: Graph) => {
  const next = random(5)
  return Object.fromEntries(
    graph.inputs.map(({ name, dtype, shape }) => {
      const size = shape.reduce((a, b) => a * b, 1)
      return [name, (dtype === "float32" ? new Float32Array(size) : new Float64Array(size)).map(() => next())]
    })
  )
}

/** Most values alive at once, each counted as one. */
const mostAlive = (graph: Graph): number => {
  const { nodes, outputs } = lower(graph)
  const order = executionOrder(nodes)
  const last = new Map<string, number>()
  order.forEach((i, place) => nodes[i]!.inputs.forEach((name) => last.set(name, place)))
  for (const { name } of outputs) last.set(name, order.length)
  const alive = new Set<string>()
  let most = 0
  order.forEach((i, place) => {
    for (const name of nodes[i]!.outputs) alive.add(name)
    most = Math.max(most, alive.size)
    for (const name of alive) if ((last.get(name) ?? -1) <= place) alive.delete(name)
  })
  return most
}

test("gradients have the same bits as without", async () => {
  const [plain, again] = [build(false), build(true)]
  expect(await runGraph(again, feeds(again))).toEqual(await runGraph(plain, feeds(plain)))
})

test("fewer values are alive at once", () => {
  expect(mostAlive(build(true))).toBeLessThan(0.7 * mostAlive(build(false)))
})

test("a stored weight's value does not live from the forward pass to the backward pass", () => {
  const { nodes } = lower(build(true))
  const casts = nodes.filter(({ opType }) => opType === "Cast")
  const readersOf = (name: string): number => nodes.filter(({ inputs }) => inputs.includes(name)).length
  expect(casts.length).toBeGreaterThan(2)
  for (const { outputs } of casts) expect(readersOf(outputs[0]!)).toBe(1)
})

/** Attention of two heads with a mask: in training its weights are computed again. */
const attention = (cheap: boolean) => {
  const graph = new Graph()
  const [q, k, v] = ["q", "k", "v"].map((name) => graph.input(name, "float32", [2, M, D])) as [Value, Value, Value]
  const mask = graph.input("mask", "float32", [M, M])
  const scores = reshape(matMul(q, k, { transB: true, alpha: 0.5 }), [1, 2, M, M])
  const weights = softmax(add(scores, mask))
  const mixed = matMul(reshape(weights, [2, M, M]), v)
  const loss = reduceSum(mul(mixed, mixed))
  graph.output("loss", loss)
  gradients(loss, [q, k, v], { recompute: { cheap } }).forEach((g, i) => graph.output(`g${i}`, g))
  expect(validate(graph)).toEqual([])
  return graph
}

test("the weights of attention do not live from the forward pass to the backward pass", async () => {
  const [plain, again] = [attention(false), attention(true)]
  expect(await runGraph(again, feeds(again))).toEqual(await runGraph(plain, feeds(plain)))
  const { nodes } = lower(again)
  const made = nodes.filter(({ opType }) => opType === "Softmax").map(({ outputs }) => outputs[0]!)
  expect(made).toHaveLength(2)
  // The first ones go into the forward pass's product and nowhere else.
  const readers = (name: string): readonly string[] =>
    nodes
      .filter(({ inputs }) => inputs.includes(name))
      .flatMap(({ opType, outputs }) => (opType === "Reshape" ? readers(outputs[0]!) : [opType]))
  expect(readers(made[0]!)).toHaveLength(1)
})
