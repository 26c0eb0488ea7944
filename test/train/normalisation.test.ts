// Token-exact loss: however the rows of a step are cut into micro-batches, padded or packed, the gradient is the same.
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { Order } from "#src/batching/order.ts"
import { bestFit, type RowLayout } from "#src/batching/place.ts"
import { rowSizes } from "#src/batching/rows.ts"
import { permutation, uniform } from "#src/domain/random.ts"
import { loadModel } from "#src/models/load.ts"
import { graphLearner } from "#src/runtime/GraphLearner.ts"
import { tune, tuningOf } from "#src/runtime/Tuning.ts"
import { loraMethod } from "../adapters/method.ts"
import { makeWorkspace, tokensTable, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeEach(async () => {
  workspace = await makeWorkspace()
})
afterEach(() => workspace.clear())

const rows = tokensTable(8, 3, [7, 1, 40, 7, 12])
const { lengths, commonPrefix } = rowSizes(rows)
const lora = loraMethod({ r: 4, targetModules: ["q_proj", "v_proj"] })

interface Cut {
  readonly group: readonly (readonly number[])[]
  readonly batchSize: number
  readonly layout?: RowLayout
}

/** One step over the eight rows, cut into these micro-batches: its loss, norm, and gradients summed in float64. */
const step = async (method: { readonly type: "full" } | typeof lora, { group, ...layout }: Cut) => {
  const { model, weights } = await loadModel(workspace.inputs["base"]?.path as string)
  const tuned = tune(tuningOf(model, method, 1e-3), weights, { accumulates: true, seed: 5 })
  // A fresh adapter's B is zero, and then A has no gradient.
  for (const { name, p } of tuned.store.trainables) if (name.includes("lora_B")) p.forEach((_, i) => (p[i] = Math.sin(i) / 10))
  const order: Order = { stepsPerEpoch: 1, totalSteps: 1, group: () => group }
  const learner = graphLearner({ ...tuned, ...layout, model, threads: 1, rows, order, seed: 0 })
  const targets = learner.sizes.targets.reduce((sum, n) => sum + n, 0)
  const sums = tuned.store.trainables.map(({ g }) => new Float64Array(g.length))
  let loss = 0
  for (const [micro, members] of group.entries()) {
    loss += (await learner.gradients(members, 1 / targets, 0)) / targets
    tuned.store.accumulate(micro === 0)
    tuned.store.trainables.forEach(({ g }, i) =>
      g.forEach((x, k) => ((sums[i] as Float64Array)[k] = ((sums[i] as Float64Array)[k] as number) + x))
    )
  }
  await learner.release()
  return { loss, norm: tuned.store.gradNorm(), gradient: sums.flatMap((sum) => Array.from(sum)) }
}

const relative = (a: readonly number[], b: readonly number[]): number =>
  Math.hypot(...a.map((x, i) => x - (b[i] as number))) / Math.hypot(...a)

/** Micro-batches of these sizes, in the rows' order. */
const cutInto = (...sizes: readonly number[]): readonly (readonly number[])[] =>
  sizes.map((size, i) => Array.from({ length: size }, (_, k) => sizes.slice(0, i).reduce((sum, n) => sum + n, 0) + k))

/** The rows in random order, cut at random, packed into rows of a random length or not. */
const randomCut = (seed: number): Cut => {
  const order = [...permutation(seed, 0, 8)]
  const ends = order.map((_, i) => i + 1).filter((end) => end === 8 || uniform(seed, 1, end) < 0.4)
  const group = ends.map((end, i) => order.slice(i === 0 ? 0 : ends[i - 1], end))
  const length = Math.max(...lengths) + Math.floor(uniform(seed, 2, 0) * 60)
  const layout = { length, commonPrefix: seed % 2 === 0 ? 0 : commonPrefix }
  const most = Math.max(
    ...group.map((members) => (seed % 4 === 0 ? members : bestFit(lengths, members, length, layout.commonPrefix)).length)
  )
  return { group, batchSize: most + (seed % 3), ...(seed % 4 === 0 ? {} : { layout }) }
}

const whole: Cut = { group: cutInto(8), batchSize: 8 }

describe.each([
  ["full", { type: "full" } as const],
  ["lora", lora]
])("%s", (_, method) => {
  test.each<readonly [string, Cut]>([
    ["one row at a time", { group: cutInto(1, 1, 1, 1, 1, 1, 1, 1), batchSize: 1 }],
    ["uneven micro-batches", { group: cutInto(3, 3, 2), batchSize: 3 }],
    ["more padding rows than rows", { group: cutInto(8), batchSize: 12 }],
    ["all in one packed row", { group: cutInto(8), batchSize: 1, layout: { length: 200, commonPrefix: 0 } }],
    ["all behind what they begin with", { group: cutInto(8), batchSize: 1, layout: { length: 160, commonPrefix } }],
    ...Array.from({ length: 8 }, (_, seed) => [`random cut ${seed}`, randomCut(seed)] as const)
  ])("all rows at once equals %s", async (_, cut) => {
    const [a, b] = [await step(method, whole), await step(method, cut)]
    expect(relative(a.gradient, b.gradient)).toBeLessThan(1e-6)
    expect(Math.abs(b.loss / a.loss - 1)).toBeLessThan(1e-6)
    expect(Math.abs(b.norm / a.norm - 1)).toBeLessThan(1e-6)
    expect(a.norm).toBeGreaterThan(1e-3)
  })
})
