// Token-exact loss: however the rows of a step are cut into micro-batches and padded, the gradient is the same.
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { Order } from "#src/batching/order.ts"
import { loadModel } from "#src/models/load.ts"
import { graphLearner } from "#src/runtime/GraphLearner.ts"
import { tune } from "#src/runtime/Tuning.ts"
import { makeWorkspace, tokensTable, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeEach(async () => {
  workspace = await makeWorkspace()
})
afterEach(() => workspace.clear())

const rows = tokensTable(8, 3)
const lora = { type: "lora", r: 4, loraAlpha: 8, loraDropout: 0, targetModules: ["q_proj", "v_proj"], seed: 0 } as const

/** One step over the eight rows, cut into micro-batches of these sizes: its loss, norm, and gradients summed in float64. */
const step = async (method: { readonly type: "full" } | typeof lora, cuts: readonly number[], batchSize = Math.max(...cuts)) => {
  const { model, weights } = await loadModel(workspace.inputs["base"]?.path as string)
  const tuned = tune(model, weights, method, true, 5)
  // A fresh adapter's B is zero, and then A has no gradient.
  for (const { name, p } of tuned.store.trainables) if (name.includes("lora_B")) p.forEach((_, i) => (p[i] = Math.sin(i) / 10))
  const group = cuts.map((size, i) => Array.from({ length: size }, (_, k) => cuts.slice(0, i).reduce((sum, n) => sum + n, 0) + k))
  const order: Order = { stepsPerEpoch: 1, totalSteps: 1, group: () => group }
  const learner = graphLearner({ ...tuned, model, batchSize, threads: 1, rows, order, seed: 0 })
  const targets = learner.sizes.targets.reduce((sum, n) => sum + n, 0)
  const sums = tuned.store.trainables.map(({ g }) => new Float64Array(g.length))
  let loss = 0
  for (const [micro, members] of group.entries()) {
    loss += (await learner.gradients(members, 1 / targets, 0, micro)) / targets
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

describe.each([
  ["full", { type: "full" } as const],
  ["lora", lora]
])("%s", (_, method) => {
  test.each([
    ["one row at a time", [1, 1, 1, 1, 1, 1, 1, 1], 1],
    ["uneven micro-batches", [3, 3, 2], 3],
    ["more padding rows than rows", [8], 12]
  ])("all rows at once equals %s", async (_, cuts, batchSize) => {
    const whole = await step(method, [8])
    const cut = await step(method, cuts, batchSize)
    expect(relative(whole.gradient, cut.gradient)).toBeLessThan(1e-6)
    expect(Math.abs(cut.loss / whole.loss - 1)).toBeLessThan(1e-6)
    expect(Math.abs(cut.norm / whole.norm - 1)).toBeLessThan(1e-6)
    expect(whole.norm).toBeGreaterThan(1e-3)
  })
})
