// Packed documents against transformers and TRL: the same rows, positions and document numbers, and each token's loss is that
// of its document alone.
import { existsSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import { describe, expect, test } from "vitest"
import { emptyBatch, fillBatch } from "#src/batching/batch.ts"
import { bestFit, inLines } from "#src/batching/place.ts"
import { Graph } from "#src/graph/Graph.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import { loadModel } from "#src/models/load.ts"
import { runGraph } from "../graph/runGraph.ts"
import { shared } from "../shared.ts"

interface Golden {
  readonly max_length: number
  readonly documents: readonly (readonly number[])[]
  readonly token_nll_single_document: readonly (readonly number[])[]
  readonly tokens: number
  readonly loss: number
  readonly wrong_loss_without_document_mask_and_position_reset: number
  readonly packed_rows_best_fit_decreasing: readonly {
    readonly documents: readonly number[]
    readonly input_ids: readonly number[]
    readonly position_ids: readonly number[]
    readonly segment_ids: readonly number[]
  }[]
}

const available = ["llama", "mistral", "gemma3_text", "gpt2"].filter(
  (family) =>
    existsSync(resolve(import.meta.dirname, `../../src/models/${family}.ts`)) && existsSync(shared("parity", "packing", `${family}.json`))
)

describe.skipIf(available.length === 0)("packed rows", () => {
  test.each(available)("%s", async (family) => {
    const golden = JSON.parse(readFileSync(shared("parity", "packing", `${family}.json`), "utf8")) as Golden
    const { documents, max_length: T } = golden
    const expected = golden.packed_rows_best_fit_decreasing
    const lengths = Int32Array.from(documents, (document) => document.length)
    const lines = bestFit(lengths, [...documents.keys()], T)
    expect(lines).toEqual(expected.map((row) => row.documents))

    // The reference reads each document's last token too, which predicts nothing.
    const offsets = new Int32Array(documents.length + 1)
    lengths.forEach((length, i) => (offsets[i + 1] = offsets[i]! + length))
    const rows = {
      offsets,
      tokens: Int32Array.from(documents.flat()),
      mask: Uint8Array.from(documents.flatMap((document) => document.map((_, i) => (i === 0 ? 0 : 1))))
    }
    const sizes = { lengths, targets: lengths.map((n) => n - 1), commonPrefix: 0 }
    const shape = { length: T, targets: golden.tokens }
    const batch = emptyBatch(lines.length, shape)
    fillBatch(batch, rows, sizes, inLines(sizes, lines), shape)
    expected.forEach((row, b) => {
      const filled = (array: BigInt64Array): number[] => [...array.subarray(b * T, b * T + row.input_ids.length)].map(Number)
      expect(filled(batch.ids)).toEqual(row.input_ids)
      expect(filled(batch.within)).toEqual(row.position_ids)
      const numbers = filled(batch.segments)
      expect(numbers.map((n) => n - numbers[0]!)).toEqual(row.segment_ids)
    })

    const { model, weights } = await loadModel(shared("parity", "models", family, "hf"))
    const graph = new Graph()
    const tensors = new Map(model.parameters.map(({ name, shape }) => [name, graph.input(name, "float32", shape)]))
    const place = (name: string) => graph.input(name, "int64", [lines.length, T])
    const { logits } = model.build(graph, {
      inputIds: place("ids"),
      param: (name) => tensors.get(name)!,
      select: graph.input("select", "int64", [golden.tokens]),
      packing: { positions: place("within"), segments: place("segments") }
    })
    const targets = graph.input("targets", "int64", [golden.tokens])
    graph.output("nll", crossEntropy(logits, targets, graph.constant(1, "float32", [golden.tokens])).tokenNll)
    const { nll } = await runGraph(graph, {
      ...Object.fromEntries(model.parameters.map(({ name }) => [name, weights.read(name)])),
      ids: batch.ids,
      within: batch.within,
      segments: batch.segments,
      select: batch.positions,
      targets: batch.targets
    })
    const alone = lines.flat().flatMap((document) => golden.token_nll_single_document[document]!)
    expect(nll!.length).toBe(alone.length)
    alone.forEach((reference, i) => expect(Math.abs(Number(nll![i]) - reference)).toBeLessThan(5e-5))
    const mean = [...(nll as Float32Array)].reduce((sum, x) => sum + x, 0) / golden.tokens
    expect(Math.abs(mean - golden.loss)).toBeLessThan(1e-5)
    expect(Math.abs(mean - golden.wrong_loss_without_document_mask_and_position_reset)).toBeGreaterThan(1e-3)
  })
})
