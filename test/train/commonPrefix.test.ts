// What all rows begin with, computed once a packed row: for every family and several methods the loss and the gradients of rows that
// each stand alone.
import { expect, test } from "vitest"
import { batchNeeds, emptyBatch, fillBatch } from "#src/batching/batch.ts"
import { packed, type Place, type RowLayout, sideBySide } from "#src/batching/place.ts"
import { rowSizes } from "#src/batching/rows.ts"
import type { TypedArray } from "#src/graph/Type.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { frozenFeeds } from "#src/runtime/Frozen.ts"
import { Session } from "#src/runtime/Session.ts"
import { lossGraph } from "#src/runtime/TrainGraph.ts"
import { names } from "#src/runtime/trainNames.ts"
import { baseOf, tune, tuningOf } from "#src/runtime/Tuning.ts"
import { families, methods, ownModel } from "../devices/cases.ts"
import { tokensTable } from "./workspace.ts"

const members = [0, 1, 2, 3, 4, 5]
const table = tokensTable(members.length, 3, [3, 17, 5, 5, 30, 11])

const gradients = async (family: string, method: string, places: readonly Place[], layout?: RowLayout) => {
  const { model, weights } = await ownModel(family)
  const rows = { ...table, tokens: table.tokens.map((token) => token % model.vocabSize) }
  const sizes = rowSizes(rows)
  const tuned = tune(tuningOf(model, methods[method]!, 1e-3), baseOf(model, weights, methods[method]!), {
    accumulates: false,
    seed: 1,
    mapped: false
  })
  const shape = batchNeeds(sizes, places)
  const lines = 1 + Math.max(...places.map(({ line }) => line))
  const { graph } = lossGraph(model, tuned, lines, shape, { training: true, layout })
  const batch = emptyBatch(lines, shape)
  fillBatch(batch, rows, sizes, places, shape)
  const feeds: Readonly<Record<string, TypedArray>> = {
    ...frozenFeeds(tuned.frozen),
    ...Object.fromEntries(tuned.store.trainables.map(({ name, p }) => [name, p])),
    ...{ [names.ids]: batch.ids, [names.positions]: batch.positions, [names.targets]: batch.targets, [names.weights]: batch.weights },
    ...(layout === undefined ? {} : { [names.within]: batch.within, [names.segments]: batch.segments }),
    [names.scale]: Float32Array.of(0.1)
  }
  const outputs = graph.outputs.map(({ name }) => name)
  const session = await Session.create(encode(lower(graph, "cpu")), { threads: 1 })
  const result = await session.run(feeds, outputs)
  await session.release()
  return { outputs, result }
}

test.each(families.flatMap((family) => ["full", "lora", "prefix"].map((method) => [family, method] as const)))(
  "%s, %s",
  async (family, method) => {
    const sizes = rowSizes(table)
    const layout = { length: 84, commonPrefix: sizes.commonPrefix }
    const places = packed(sizes, members, layout)
    expect(places.filter(({ from }) => from === 6).length).toBeGreaterThan(3)
    const [alone, together] = [await gradients(family, method, sideBySide(members)), await gradients(family, method, places, layout)]
    for (const name of alone.outputs) {
      const [a, b] = [alone.result[name] as Float32Array, together.result[name] as Float32Array]
      const off = Math.hypot(...a.map((x, i) => x - b[i]!)) / Math.max(Math.hypot(...a), 1e-6)
      expect(off, name).toBeLessThan(1e-5)
    }
  }
)
