// The same in float64, where rounding hides nothing: over random cuts, paddings and packings a step's gradient agrees to 1e-9.
import { afterAll, beforeAll, expect, test } from "vitest"
import { batchNeeds, emptyBatch, fillBatch } from "#src/batching/batch.ts"
import { packed, type Place, sideBySide } from "#src/batching/place.ts"
import { rowSizes } from "#src/batching/rows.ts"
import { permutation, uniform } from "#src/domain/random.ts"
import { gradients } from "#src/graph/autodiff.ts"
import { Graph } from "#src/graph/Graph.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import { scale } from "#src/graph/ops/elementwise.ts"
import { loadModel } from "#src/models/load.ts"
import { runGraph } from "../graph/runGraph.ts"
import { makeWorkspace, tokensTable, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeAll(async () => {
  workspace = await makeWorkspace()
})
afterAll(() => workspace.clear())

const rows = tokensTable(8, 3, [7, 1, 40, 7, 12])
const sizes = rowSizes(rows)
const counted = sizes.targets.reduce((sum, n) => sum + n, 0)

/** Loss and gradient of one micro-batch, both over the whole step's count; rows and places beyond the needed ones are padding. */
const microBatch = async (places: readonly Place[], more: number, commonPrefix: number) => {
  const { model, weights } = await loadModel(workspace.inputs["base"]?.path as string)
  const { length, targets } = batchNeeds(sizes, places)
  const shape = { length: length + more, targets: targets + more }
  const lines = 1 + Math.max(...places.map(({ line }) => line)) + (more % 2)
  const batch = emptyBatch(lines, shape)
  fillBatch(batch, rows, sizes, places, shape)
  const graph = new Graph()
  const tensors = model.parameters.map(({ name, shape }) => [name, graph.input(name, "float64", shape)] as const)
  const byName = new Map(tensors)
  const place = (name: string) => graph.input(name, "int64", [lines, shape.length])
  const { logits } = model.build(graph, {
    inputIds: place("ids"),
    param: (name) => byName.get(name)!,
    select: graph.input("select", "int64", [shape.targets]),
    packing: { positions: place("within"), segments: place("segments"), commonPrefix }
  })
  const target = graph.input("targets", "int64", [shape.targets])
  const loss = scale(crossEntropy(logits, target, graph.input("weights", "float64", [shape.targets])).sum, 1 / counted)
  graph.output("loss", loss)
  const found = gradients(
    loss,
    tensors.map(([, value]) => value)
  )
  found.forEach((value, i) => graph.output(`g${i}`, value))
  const { ids, within, segments, positions: select } = batch
  const result = await runGraph(graph, {
    ...Object.fromEntries(tensors.map(([name]) => [name, Float64Array.from(weights.read(name))])),
    ...{ ids, within, segments, select, targets: batch.targets, weights: Float64Array.from(batch.weights) }
  })
  return { loss: Number(result["loss"]![0]), gradient: found.flatMap((_, i) => Array.from(result[`g${i}`] as Float64Array)) }
}

const step = async (group: readonly (readonly Place[])[], more: number, commonPrefix = 0) => {
  const parts = []
  for (const places of group) parts.push(await microBatch(places, more, commonPrefix))
  return parts.reduce((a, b) => ({ loss: a.loss + b.loss, gradient: a.gradient.map((x, i) => x + (b.gradient[i] as number)) }))
}

test("random cuts", async () => {
  const whole = await step([sideBySide([0, 1, 2, 3, 4, 5, 6, 7])], 0)
  expect(Math.hypot(...whole.gradient)).toBeGreaterThan(1e-3)
  expect(sizes.commonPrefix).toBe(5)
  for (let seed = 0; seed < 12; seed++) {
    const order = [...permutation(seed, 0, 8)]
    const ends = order.map((_, i) => i + 1).filter((end) => end === 8 || uniform(seed, 1, end) < 0.3)
    const length = Math.max(...sizes.lengths) + Math.floor(uniform(seed, 2, 0) * 60)
    // In every third cut what all rows begin with stands in each packed row once.
    const commonPrefix = seed % 3 === 1 ? sizes.commonPrefix : 0
    const place = (members: readonly number[]) => (seed % 3 === 0 ? sideBySide(members) : packed(sizes, members, { length, commonPrefix }))
    const cut = await step(
      ends.map((end, i) => place(order.slice(i === 0 ? 0 : ends[i - 1], end))),
      seed,
      commonPrefix
    )
    const off = Math.hypot(...cut.gradient.map((x, i) => x - (whole.gradient[i] as number))) / Math.hypot(...whole.gradient)
    expect(off).toBeLessThan(1e-9)
    expect(Math.abs(cut.loss / whole.loss - 1)).toBeLessThan(1e-9)
  }
})
