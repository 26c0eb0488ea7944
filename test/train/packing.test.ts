// The train stage with packed rows and with rows grouped by length: what it refuses, and that nothing but the order changes.
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Adapter } from "#src/adapters/Adapter.ts"
import { lora } from "#src/adapters/options.ts"
import { DataError, DefinitionError } from "#src/domain/Errors.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import { loadModel } from "#src/models/load.ts"
import { lossGraph } from "#src/runtime/TrainGraph.ts"
import { tuningOf } from "#src/runtime/Tuning.ts"
import { makeWorkspace, runHere, taskIn, tokensTable, weightsDigest, type Workspace } from "./workspace.ts"

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

describe("rows that begin alike", () => {
  const opening = [7, 1, 40, 7, 12, 33, 2, 9, 9, 21, 60, 4]
  let alike: Workspace
  beforeAll(async () => {
    alike = await makeWorkspace(tokensTable(22, 1, opening))
  })
  afterAll(() => alike.clear())
  const trained = async (name: string, more: Options, threads = 1) => {
    const task = taskIn(alike, name, { ...options, ...more }, threads)
    const events: StageEvent[] = []
    const { metrics } = await runHere(task, () => false, events)
    const said = events.flatMap((event) => (event._tag === "Log" ? [event.text] : [])).join("\n")
    return { steps: metrics?.["steps"], loss: metrics?.["trainLoss"] ?? NaN, said, digest: weightsDigest(task) }
  }
  const packing = { packing: true, packLength: 80 }
  const shared = /all rows begin with the same 12 tokens/

  test("are packed behind one copy of it: fewer steps, the same bytes on two threads and with two workers", async () => {
    const own = await trained("behind", packing)
    const dropped = await trained("dropped", { ...packing, residualDropout: 0.1 })
    const adapter = await trained("adapter", { ...packing, method: lora({ r: 2, loraDropout: 0.1 }) })
    expect(own.said).toMatch(shared)
    // What is dropped out differs from document to document.
    for (const { said } of [dropped, adapter]) expect(said).not.toMatch(shared)
    expect([own.steps, dropped.steps, adapter.steps]).toEqual([6, 10, 10])
    expect((await trained("two threads", packing, 2)).digest).toBe(own.digest)
    const accumulated = { ...packing, gradientAccumulationSteps: 2 }
    expect((await trained("two workers", { ...accumulated, workers: 2 })).digest).toBe((await trained("accumulated", accumulated)).digest)
  })

  test("one step over the whole part ends in the same loss as unpacked", async () => {
    const plain = await trained("plain", { batchSize: 22, maxSteps: 1 })
    const packed = await trained("packed", { batchSize: 8, maxSteps: 1, packing: true, packLength: 112 })
    expect(packed.said).toMatch(shared)
    expect(Math.abs(plain.loss / packed.loss - 1)).toBeLessThan(1e-6)
  })
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
      lossGraph(
        model,
        { tuning: { ...tuning, adapter }, frozen: [] },
        2,
        { length: 16, targets: 16 },
        { training: false, layout: packed ? { length: 16, commonPrefix: 0 } : undefined }
      )
    expect(build(true)).toThrow(DefinitionError)
    expect(build(false)).not.toThrow()
  })

  test.each([
    ["random weights below an adapter", { initialWeights: "random" as const, method: lora() }, "train.initialWeights"],
    ["packLength without packing", { packLength: 64 }, "train.packLength"],
    ["packing with groupByLength", { packing: true, groupByLength: true }, "train.groupByLength"]
  ])("%s", async (name, more, where) => {
    const error = await failure(name, more)
    expect(error).toBeInstanceOf(DefinitionError)
    expect((error as DefinitionError).where).toBe(where)
  })
})
