// The loss behind an output head in chunks: the same numbers as in one piece, and never all logits at once.
import { describe, expect, test } from "vitest"
import { gradients } from "#src/graph/autodiff.ts"
import { executionOrder } from "#src/graph/executionOrder.ts"
import { Graph } from "#src/graph/Graph.ts"
import { headGradients, headLoss } from "#src/graph/headLoss.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { add, mul, tanh } from "#src/graph/ops/elementwise.ts"
import { gather } from "#src/graph/ops/index.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { validate } from "#src/graph/validate.ts"
import type { Value } from "#src/graph/Value.ts"
import { ids, random } from "./checkGrads.ts"
import { runGraph } from "./runGraph.ts"

const [S, D, V] = [10, 3, 7]

/** A body, and a head over it: its own weight with a bias, or the embedding's. */
const build = (chunk: number | undefined, tied: boolean, smoothing: number, ofHeadAlone = false) => {
  const graph = new Graph()
  const input = (name: string, shape: readonly number[]): Value => graph.input(name, "float64", shape)
  const [embedding, w, own, bias] = [input("embedding", [V, D]), input("w", [D, D]), input("own", [V, D]), input("bias", [V])]
  const rows = tanh(matMul(gather(embedding, ids(graph, [1, 5, 2, 2, 0, 6, 3, 1, 4, 5])), w, { transB: true }))
  const head = (x: Value): Value => (tied ? matMul(x, embedding, { transB: true }) : add(matMul(x, own, { transB: true }), bias))
  const targets = ids(graph, [3, 0, 6, 1, 1, 2, 5, 4, 0, 2])
  const weights = graph.constant(Float64Array.of(1, 0, 1, 1, 0.5, 1, 1, 1, 2, 1), "float64", [S])
  const scale = input("scale", [])
  const wrt = ofHeadAlone ? [own, bias] : tied ? [embedding, w] : [embedding, w, own, bias]
  if (chunk === undefined) {
    const { sum } = crossEntropy(head(rows), targets, weights, smoothing)
    graph.output("sum", sum)
    gradients(mul(sum, scale), wrt).forEach((g, i) => graph.output(`g${i}`, g))
  } else {
    const loss = { rows, head, targets, weights, smoothing, chunk }
    graph.output("alone", headLoss(loss))
    const found = headGradients(loss, scale, wrt)
    found.gradients.forEach((g, i) => graph.output(`g${i}`, g))
    graph.output("sum", found.sum)
  }
  return graph
}

const feeds = (graph: Graph) => {
  const next = random(3)
  return Object.fromEntries(
    graph.inputs.map(({ name, shape }) => [name, new Float64Array(shape.reduce((a, b) => a * b, 1)).map(() => next())])
  )
}

describe.each([
  ["tied", true, false],
  ["with a weight and a bias of its own", false, false],
  ["trained alone", false, true]
])("a head %s", (_, tied, alone) => {
  test.each([
    [1, 0],
    [4, 0],
    [4, 0.1],
    [10, 0],
    [99, 0.1]
  ])("%i rows at a time, smoothing %f: loss and gradients as in one piece", async (chunk, smoothing) => {
    const whole = build(undefined, tied, smoothing, alone)
    const chunked = build(chunk, tied, smoothing, alone)
    expect(validate(chunked)).toEqual([])
    const expected = await runGraph(whole, feeds(whole))
    const actual = await runGraph(chunked, feeds(chunked))
    expect(actual["alone"]).toEqual(actual["sum"])
    for (const [name, values] of Object.entries(expected)) {
      values.forEach((value, i) => expect(Number(actual[name]![i]), `${name} ${i}`).toBeCloseTo(Number(value), 12))
    }
  })

  // Without smoothing a bias, which no family's head has, sums its chunks at the end.
  test.each(tied ? [0, 0.1] : [0.1])("a chunk's logits are done with before the next ones are made, smoothing %f", (smoothing) => {
    const { nodes } = lower(build(4, tied, smoothing, alone))
    const order = executionOrder(nodes)
    const at = (wanted: (opType: string) => boolean): readonly number[] =>
      order.flatMap((i, place) => (wanted(nodes[i]!.opType) ? [place] : []))
    const readers = (name: string): readonly number[] => order.flatMap((i, place) => (nodes[i]!.inputs.includes(name) ? [place] : []))
    const softmaxes = at((op) => op === "LogSoftmax").map((place) => ({ place, name: nodes[order[place]!]!.outputs[0]! }))
    // "alone" makes its own three; those whose probabilities are read belong to the gradients.
    const chunks = softmaxes.filter(({ name }) => readers(name).some((place) => nodes[order[place]!]!.opType === "Softmax"))
    expect(chunks.length).toBe(3)
    const gradientsOfLogits = at((op) => op === "ScatterElements").flatMap((place) => {
      const { outputs } = nodes[order[place]!]!
      return readers(outputs[0]!).length > 0 && place > chunks[0]!.place ? [{ place, last: Math.max(...readers(outputs[0]!)) }] : []
    })
    expect(gradientsOfLogits.length).toBeGreaterThanOrEqual(3)
    for (const [i, { place }] of chunks.slice(1).entries()) expect(gradientsOfLogits[i]!.last).toBeLessThan(place)
  })
})
