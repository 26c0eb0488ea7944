// The train stage with packed rows and with rows grouped by length: what it refuses, and that nothing but the order changes.
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Adapter } from "#src/adapters/Adapter.ts"
import { DataError, DefinitionError } from "#src/domain/Errors.ts"
import { loadModel } from "#src/models/load.ts"
import { lossGraph } from "#src/runtime/TrainGraph.ts"
import { tuningOf } from "#src/runtime/Tuning.ts"
import { makeWorkspace, runHere, taskIn, weightsDigest, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeAll(async () => {
  workspace = await makeWorkspace()
})
afterAll(() => workspace.clear())

const options = { batchSize: 2, epochs: 2, learningRate: 0.01 }
type Options = Parameters<typeof taskIn>[2]
const digestOf = async (name: string, more: Options, threads = 1): Promise<string> => {
  const task = taskIn(workspace, name, { ...options, ...more }, threads)
  await runHere(task)
  return weightsDigest(task)
}
const failure = (name: string, more: Options): Promise<unknown> =>
  runHere(taskIn(workspace, name, { ...options, ...more })).then(
    () => undefined,
    (error: unknown) => error
  )

test("packed rows make fewer steps, and the same bytes on one and on two threads", async () => {
  const packing = { packing: true, packLength: 64 }
  const task = taskIn(workspace, "counted", { ...options, ...packing })
  const { metrics } = await runHere(task)
  // 22 rows unpacked are 22 steps in two epochs of batches of two.
  expect(metrics?.["steps"]).toBe(6)
  expect(await digestOf("two threads", packing, 2)).toBe(weightsDigest(task))
  const random = { ...packing, attentionDropout: 0.1, residualDropout: 0.1, embeddingDropout: 0.1, neftuneNoiseAlpha: 5 }
  expect(await digestOf("random, two threads", random, 2)).toBe(await digestOf("random", random))
})

test("one step over the whole part ends in the same loss, packed or not", async () => {
  const losses = []
  for (const [name, more] of [
    ["plain", { batchSize: 22 }],
    ["packed", { batchSize: 8, packing: true, packLength: 80 }]
  ] as const) {
    const { metrics } = await runHere(taskIn(workspace, `once ${name}`, { ...options, ...more, maxSteps: 1 }))
    losses.push(metrics?.["trainLoss"] ?? NaN)
  }
  expect(Math.abs((losses[0] as number) / (losses[1] as number) - 1)).toBeLessThan(1e-6)
})

test("grouping by length changes the order alone: the same steps, another result, the same one again", async () => {
  const grouped = await digestOf("grouped", { groupByLength: true })
  expect(grouped).toBe(await digestOf("grouped again", { groupByLength: true }))
  expect(grouped).not.toBe(await digestOf("shuffled", {}))
})

describe("refused", () => {
  test("rows that are longer than packLength, by their names", async () => {
    const error = await failure("long", { packing: true, packLength: 20 })
    expect(error).toBeInstanceOf(DataError)
    expect(String(error)).toMatch(/rows are longer than packLength, 20/)
    expect((error as DataError).where).toMatch(/input train, rows row-\d+ \(2\d\)/)
    expect((error as DataError).hint).toMatch(/set packLength to 32/)
  })

  test("virtual tokens in front of packed rows", async () => {
    const { model } = await loadModel(workspace.inputs["base"]?.path as string)
    const tuning = tuningOf(model, { type: "full" }, 1e-3)
    const adapter: Adapter = {
      parameters: [],
      replaces: new Map(),
      dropout: { linears: [], share: 0 },
      hooks: ({ param }) => ({ virtualTokens: param("model.embed_tokens.weight") }),
      initial: (base) => base
    }
    const build = (packed: boolean) => () =>
      lossGraph(model, { tuning: { ...tuning, adapter }, frozen: [] }, 2, { length: 16, targets: 16 }, { training: false, packed })
    expect(build(true)).toThrow(DefinitionError)
    expect(build(false)).not.toThrow()
  })

  test.each([
    ["packLength without packing", { packLength: 64 }, "train.packLength"],
    ["packing with groupByLength", { packing: true, groupByLength: true }, "train.groupByLength"]
  ])("%s", async (name, more, where) => {
    const error = await failure(name, more)
    expect(error).toBeInstanceOf(DefinitionError)
    expect((error as DefinitionError).where).toBe(where)
  })
})
