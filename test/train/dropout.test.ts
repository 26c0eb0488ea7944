// Dropout of an adapter: other masks at every step and micro-batch, the same ones again for the same counters, none in validation.
import { afterEach, beforeEach, expect, test } from "vitest"
import type { Order } from "#src/batching/order.ts"
import type { LoraOptions } from "#src/adapters/options.ts"
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

const rows = tokensTable(4, 3)
const members = [0, 1, 2, 3]
const order: Order = { stepsPerEpoch: 1, totalSteps: 1, group: () => [members] }

const adapterWith = async (loraDropout: number, seed = 0, trained = true, more: Partial<LoraOptions> = { targetModules: "all-linear" }) => {
  const { model, weights } = await loadModel(workspace.inputs["base"]?.path as string)
  const tuned = tune(tuningOf(model, loraMethod({ r: 4, loraDropout, ...more }), 1e-3), weights, { accumulates: false, seed: 5 })
  // A fresh adapter's B is zero: it would hide what happens before it.
  for (const { name, p } of tuned.store.trainables) if (trained && name.includes("lora_B")) p.forEach((_, i) => (p[i] = Math.sin(i) / 10))
  return graphLearner({ ...tuned, model, batchSize: 4, threads: 1, rows, validation: rows, order, seed })
}

test("masks follow seed, step and micro-batch, and nothing else", async () => {
  const learner = await adapterWith(0.5)
  const loss = (step: number, micro: number): Promise<number> => learner.gradients(members, 1, step, micro)
  const first = await loss(0, 0)
  const others = [await loss(1, 0), await loss(0, 1), await (await adapterWith(0.5, 1)).gradients(members, 1, 0, 0)]
  expect(new Set([first, ...others]).size).toBe(4)
  expect(await loss(0, 0)).toBe(first)
  await learner.release()
})

test("validation reads the same adapter without dropout", async () => {
  const [dropped, plain] = [await adapterWith(0.5), await adapterWith(0)]
  const [a, b] = [await dropped.validation?.loss(members), await plain.validation?.loss(members)]
  expect(a).toBe(b)
  expect(a).toBe(await plain.gradients(members, 1, 0, 0))
  expect(await dropped.gradients(members, 1, 0, 0)).not.toBe(a)
})

test("kept values are scaled up: over many masks the gradient of B is that without dropout", async () => {
  // With B at zero the masks change no loss, and B's gradient is linear in them.
  const [dropped, plain] = [await adapterWith(0.5, 0, false), await adapterWith(0, 0, false)]
  const ofB = ({ store }: typeof plain): number[] => store.trainables.flatMap(({ name, g }) => (name.includes("lora_B") ? [...g] : []))
  await plain.gradients(members, 1, 0, 0)
  const exact = ofB(plain)
  let share = 0
  const steps = 50
  for (let step = 0; step < steps; step++) {
    await dropped.gradients(members, 1, step, 0)
    share += ofB(dropped).reduce((sum, x, i) => sum + x * (exact[i] as number), 0) / exact.reduce((sum, x) => sum + x * x, 0) / steps
  }
  expect(Math.abs(share - 1)).toBeLessThan(0.05)
})

test("an adapter on the output head, which runs on the trained positions only, and DoRA drop out too", async () => {
  for (const more of [{ targetModules: ["q_proj", "lm_head"] as const }, { targetModules: "all-linear", useDora: true }]) {
    const [dropped, plain] = [await adapterWith(0.5, 0, true, more), await adapterWith(0, 0, true, more)]
    const [a, b] = [await dropped.gradients(members, 1, 0, 0), await dropped.gradients(members, 1, 1, 0)]
    expect(a).not.toBe(b)
    expect(await dropped.gradients(members, 1, 0, 0)).toBe(a)
    expect(await dropped.validation?.loss(members)).toBe(await plain.gradients(members, 1, 0, 0))
  }
})
