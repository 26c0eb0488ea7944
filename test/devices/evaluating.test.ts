// Scoring and generation on a GPU: the losses of the CPU within rounding, and the same tokens.
import { expect, test } from "vitest"
import { freeze } from "#src/runtime/Frozen.ts"
import { Generator } from "#src/runtime/Generator.ts"
import { scoreRows } from "#src/runtime/Scorer.ts"
import { tokensTable } from "../train/workspace.ts"
import { ownModel } from "./cases.ts"
import { onEachGpu } from "./gpus.ts"

onEachGpu((gpu) => {
  test("scores rows and continues prompts as the CPU does", async () => {
    const { model, weights } = await ownModel("untied")
    const runnable = { model, parameters: freeze(model.parameters, weights, { halves: false }) }
    const table = tokensTable(4, 3)
    const rows = { ...table, tokens: table.tokens.map((token) => token % model.vocabSize) }
    const both = await Promise.all(
      (["cpu", gpu] as const).map(async (device) => {
        const options = { batchSize: 4, threads: 1, device }
        const scores = await scoreRows(runnable, rows, options)
        const generator = new Generator(runnable, { ...options, batchSize: 2 })
        const generated = await generator.generate(
          [
            [1, 2, 3],
            [4, 5]
          ],
          { maxNewTokens: 4, eosTokenIds: [] }
        )
        await generator.release()
        return { scores, ids: generated.map(({ ids }) => ids) }
      })
    )
    const [cpu, other] = both as [(typeof both)[0], (typeof both)[0]]
    cpu.scores.nll.forEach((nll, row) => expect(Math.abs((other.scores.nll[row] as number) - nll)).toBeLessThan(1e-4))
    expect(other.scores.correct).toEqual(cpu.scores.correct)
    expect(other.ids).toEqual(cpu.ids)
  })
})
