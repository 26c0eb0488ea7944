// Losses and hits per row against a plain forward pass, whatever the batch.
import { beforeAll, describe, expect, test } from "vitest"
import type { TokenRows } from "#src/batching/rows.ts"
import { loadModel } from "#src/models/load.ts"
import { Generator } from "#src/runtime/Generator.ts"
import { openModel, type RunnableModel } from "#src/runtime/RunnableModel.ts"
import { scoreRows } from "#src/runtime/Scorer.ts"
import { tinyModelFolder } from "./tinyModel.ts"
import { rowLosses } from "./uncached.ts"

/** Row 3 has no trained token; row 0's first token is marked and still no target. */
const lengths = [5, 30, 2, 7, 60, 30, 18]
const token = (row: number, t: number): number => (row * 53 + t * t * 7) % 256
const trained = (row: number, t: number): 0 | 1 =>
  row === 3 ? 0 : row === 0 ? 1 : t % (row + 2) === 1 || t === (lengths[row] as number) - 1 ? 1 : 0
const rows: TokenRows = {
  offsets: Int32Array.from([0, ...lengths].map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0))),
  tokens: Int32Array.from(lengths.flatMap((n, row) => Array.from({ length: n }, (_, t) => token(row, t)))),
  mask: Uint8Array.from(lengths.flatMap((n, row) => Array.from({ length: n }, (_, t) => trained(row, t))))
}

describe("scoring", () => {
  let folder: string
  let runnable: RunnableModel
  beforeAll(async () => {
    folder = await tinyModelFolder(21)
    runnable = await openModel(folder, () => Promise.reject(new Error("no base is needed")))
  })

  test.for([1, 3, 16])("batches of %i", async (batchSize) => {
    const { model, weights } = await loadModel(folder)
    const told: number[] = []
    const scores = await scoreRows(runnable, rows, { batchSize, threads: 1, onRows: (done) => told.push(done) })
    for (const [row, n] of lengths.entries()) {
      const losses = await rowLosses(
        model,
        weights,
        Array.from({ length: n }, (_, t) => token(row, t))
      )
      const counted = losses.filter((_, t) => trained(row, t + 1) === 1)
      expect(scores.targets[row]).toBe(counted.length)
      expect(scores.nll[row]).toBeCloseTo(
        counted.reduce((sum, { nll }) => sum + nll, 0),
        3
      )
      expect(scores.correct[row]).toBe(counted.filter(({ first }) => first).length)
    }
    expect(told.at(-1)).toBe(lengths.length - 1)
    expect(told).toHaveLength(Math.ceil((lengths.length - 1) / batchSize))
  })

  test("the model's own greedy text is its first choice everywhere", async () => {
    const generator = new Generator(runnable, { batchSize: 1, threads: 1 })
    const [found] = await generator.generate([[256, 5]], { maxNewTokens: 20, eosTokenIds: [] })
    await generator.release()
    const tokens = Int32Array.from([256, 5, ...found!.ids])
    const mask = Uint8Array.from(tokens, (_, t) => (t < 2 ? 0 : 1))
    const scores = await scoreRows(runnable, { offsets: Int32Array.of(0, tokens.length), tokens, mask }, { batchSize: 4, threads: 1 })
    expect([...scores.correct]).toEqual([20])
    expect([...scores.targets]).toEqual([20])
  })

  test("what the callback throws ends the scoring", async () => {
    const onRows = () => {
      throw new Error("stop")
    }
    await expect(scoreRows(runnable, rows, { batchSize: 1, threads: 1, onRows })).rejects.toThrow("stop")
  })
})
