// What is said of a training whose rows are not there yet: no rows within the bound take more, and an automatic batch size is the largest
// that fits it.
import { afterAll, describe, expect, test } from "vitest"
import { lora } from "#src/adapters/options.ts"
import { rowSizes } from "#src/batching/rows.ts"
import type { PlannedInput } from "#src/domain/Pipeline.ts"
import { uniform } from "#src/domain/random.ts"
import { loadConfig } from "#src/models/load.ts"
import { autoBatchSize, largestAuto } from "#stages/train/autoBatchSize.ts"
import { forecastOf, type Rows } from "#stages/train/forecast.ts"
import { planMemory } from "#stages/train/planMemory.ts"
import { settle } from "#stages/train/settle.ts"
import type { TrainConfig } from "#stages/train/stage.ts"
import { makeWorkspace, taskIn, tokensTable } from "./workspace.ts"

const workspace = await makeWorkspace()
afterAll(workspace.clear)
const base = workspace.inputs["base"]!.path
const model = await loadConfig(base)

type Options = Parameters<typeof taskIn>[2]
let tasks = 0
const configOf = (options: Options): TrainConfig => taskIn(workspace, `bound-${tasks++}`, options).config

/** Rows of 2 to `maxLength` tokens; the shares of long and of trained ones differ by seed. */
const draw = (seed: number, rows: number, maxLength: number) => {
  const at = (row: number, i: number): number => uniform(seed, row, i)
  const tilt = 0.2 + 3 * at(0, 999)
  const lengths = Array.from({ length: rows }, (_, row) => 2 + Math.floor(at(row, 0) ** tilt * (maxLength - 1)))
  const offsets = Int32Array.from([0, ...lengths.keys()], (_, i) => lengths.slice(0, i).reduce((sum, n) => sum + n, 0))
  const mask = Uint8Array.from({ length: offsets.at(-1)! }, (_, i) => (at(i, 1) < tilt / 3 ? 1 : 0))
  for (let row = 0; row < rows; row++) mask[offsets[row + 1]! - 1] = 1
  return { sizes: rowSizes({ offsets, tokens: new Int32Array(mask.length), mask }), ids: lengths.map((_, row) => `row-${row}`) }
}

const variants: readonly Options[] = [
  {},
  { batchSize: 1 },
  { batchSize: 5, gradientAccumulationSteps: 3, method: lora({ r: 2 }) },
  { packing: true },
  { packing: true, packLength: 112, batchSize: 3 },
  { groupByLength: true, batchSize: 4, gradientCheckpointing: true },
  { attentionDropout: 0.1, embeddingDropout: 0.2, neftuneNoiseAlpha: 5, batchSize: 2 },
  { workers: 2, gradientAccumulationSteps: 2, batchSize: 4, optimizer: "adafactor", l2ToBase: 0.1 }
]

describe("rows within the bound never take more than it says", () => {
  test.each(variants.map((options) => [JSON.stringify(options), options] as const))("%s", (_, options) => {
    for (let seed = 1; seed <= 6; seed++) {
      const config = configOf({ epochs: 1, ...options })
      const maxLength = 20 + Math.floor(uniform(seed, 1, 1) * 90)
      const [train, validation] = [draw(seed, 30 + 10 * seed, maxLength), draw(seed + 100, 17, maxLength)]
      const rows: Rows = { kind: "known", train: train.sizes, ids: train.ids, validation: validation.sizes }
      const known = forecastOf(config, { model, rows })
      const bound = forecastOf(config, { model, rows: { kind: "bound", maxLength, validation: maxLength } })
      for (const part of ["activations", "inputs", "graphs", "validation", "workers", "total"] as const)
        expect([seed, part, bound[part] - known[part]]).toEqual([seed, part, expect.toSatisfy((more: number) => more >= 0)])
      expect(bound.weights).toBe(known.weights)
    }
  })
})

const format = (maxLength: number): PlannedInput => ({ producer: { id: "format", builtin: { kind: "format", config: { maxLength } } } })
const inputs = { train: format(64), validation: format(64), base: { path: base } }

describe('batchSize: "auto"', () => {
  const total = (options: Options): number =>
    forecastOf(configOf(options), { model, rows: { kind: "bound", maxLength: 64, validation: 64 } }).total

  test.each([
    ["full", {}],
    ["lora over accumulation", { method: lora({ r: 2 }), gradientAccumulationSteps: 4 }],
    ["packed", { packing: true, packLength: 64 }]
  ] as const)("%s: what it says fits, twice as many rows do not", async (_, options) => {
    for (const most of [1, 2, 8, 16]) {
      // Between a batch and its double.
      const memoryLimit = Math.round((total({ ...options, batchSize: most }) + total({ ...options, batchSize: 2 * most })) / 2)
      const found = await autoBatchSize(configOf({ ...options, memoryLimit }), inputs, "train")
      expect(found).toEqual({ batchSize: most })
    }
    expect(await autoBatchSize(configOf({ ...options, memoryLimit: "1TB" }), inputs, "train")).toEqual({ batchSize: largestAuto })
  })

  test("another limit that leads to the same size settles the same config; where nothing fits it is 1, and said", async () => {
    const of = (memoryLimit: number) => settle({ ...configOf({ memoryLimit }), batchSize: "auto", device: "auto" }, inputs, "train")
    const limit = total({ batchSize: 4 })
    expect(await of(limit)).toEqual({ values: { batchSize: 4, device: "cpu" } })
    expect(await of(limit + 1e6)).toEqual(await of(limit))
    const tight = await of(1e6)
    expect(tight.values["batchSize"]).toBe(1)
    expect(tight.warning).toMatch(/might still not fit: about \d+\.\d MB of 1\.0 MB/)
  })

  test("a number that is written is left alone; a base that is not here leaves the size open", async () => {
    const written = configOf({ batchSize: 3, device: "webgpu" })
    expect(await settle(written, inputs, "train")).toEqual({ values: {} })
    const open = { ...configOf({}), batchSize: "auto" } as const
    expect(await settle(open, { ...inputs, base: {} }, "train")).toEqual({ values: {}, open: ["batchSize"] })
  })

  test("what cannot be told is refused by the stage's name", async () => {
    const auto = { ...configOf({}), batchSize: "auto" } as const
    const own: PlannedInput = { producer: { id: "mine" } }
    await expect(settle(auto, { ...inputs, train: own }, "second")).rejects.toMatchObject({
      _tag: "DefinitionError",
      where: "second.batchSize",
      why: expect.stringContaining("mine") as string
    })
    await expect(settle({ ...auto, device: "webgpu" }, inputs, "train")).rejects.toThrow(/device: "cpu" only/)
  })
})

describe("planMemory", () => {
  const config = configOf({ batchSize: 4 })
  const stored = { train: workspace.inputs["train"]!.path, validation: workspace.inputs["validation"]!.path }

  test("stored rows are counted, rows to come are bounded", async () => {
    const known = await planMemory(config, inputs, stored)
    const bound = await planMemory(config, { ...inputs, train: format(32), validation: format(32) }, undefined)
    expect(known.rows).toEqual({ kind: "known", train: 22, validation: 5 })
    expect(bound.rows).toEqual({ kind: "bound", maxLength: 32 })
    const { sizes, ids } = { sizes: rowSizes(tokensTable(22, 1)), ids: tokensTable(22, 1).ids }
    const rows = { kind: "known", train: sizes, ids, validation: rowSizes(tokensTable(5, 2)) } as const
    expect(known.bytes).toEqual(forecastOf(config, { model, rows }))
    expect(bound.bytes.total).toBeGreaterThan(known.bytes.total)
    expect(known).toMatchObject({ fits: true, settings: [], limit: { own: false } })
  })

  test("what cannot be told says why", async () => {
    const own: PlannedInput = { producer: { id: "mine" } }
    await expect(planMemory(config, { ...inputs, base: {} }, undefined)).rejects.toThrow(/not downloaded/)
    await expect(planMemory(config, { ...inputs, train: own }, undefined)).rejects.toMatchObject({
      why: expect.stringContaining("mine") as string
    })
    await expect(planMemory({ ...config, device: "webgpu" }, inputs, undefined)).rejects.toThrow(/webgpu is not forecast/)
    await expect(planMemory(configOf({ earlyStoppingPatience: 1 }), { train: format(8), base: { path: base } }, undefined)).rejects.toThrow(
      /validation part/
    )
  })
})
