// Dropout and embedding noise: other random numbers at every step and for every document, the same ones again for the same
// counters however a step is cut and packed, and none in validation.
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Order } from "#src/batching/order.ts"
import type { LoraOptions } from "#src/adapters/options.ts"
import { bestFit, type RowLayout } from "#src/batching/place.ts"
import { rowSizes } from "#src/batching/rows.ts"
import { permutation, uniform } from "#src/domain/random.ts"
import { loadModel } from "#src/models/load.ts"
import { graphLearner } from "#src/runtime/GraphLearner.ts"
import { noRegularization, type Regularization } from "#src/runtime/regularize.ts"
import { tune, tuningOf } from "#src/runtime/Tuning.ts"
import { loraMethod } from "../adapters/method.ts"
import { makeWorkspace, tokensTable, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeAll(async () => {
  workspace = await makeWorkspace()
})
afterAll(() => workspace.clear())

const rows = tokensTable(8, 3)
const { lengths, targets } = rowSizes(rows)
const counted = targets.reduce((sum, n) => sum + n, 0)
const members = [0, 1, 2, 3, 4, 5, 6, 7]

interface Setting extends Partial<Regularization> {
  readonly lora?: Partial<LoraOptions>
  readonly full?: boolean
  readonly seed?: number
  /** B of a fresh adapter is zero and would hide what happens before it. */
  readonly fresh?: boolean
  readonly group?: readonly (readonly number[])[]
  readonly batchSize?: number
  readonly layout?: RowLayout
}

const learnerWith = async ({ lora = {}, full, seed = 0, fresh, group = [members], batchSize = 8, layout, ...more }: Setting) => {
  const { model, weights } = await loadModel(workspace.inputs["base"]?.path as string)
  const method = full === true ? ({ type: "full" } as const) : loraMethod({ r: 4, targetModules: "all-linear", ...lora })
  const tuned = tune(tuningOf(model, method, 1e-3), weights, { accumulates: false, seed: 5 })
  for (const { name, p } of tuned.store.trainables)
    if (fresh !== true && name.includes("lora_B")) p.forEach((_, i) => (p[i] = Math.sin(i) / 10))
  const order: Order = { stepsPerEpoch: 1, totalSteps: 1, group: () => group }
  const regularization = { ...noRegularization, ...more }
  return graphLearner({ ...tuned, layout, model, batchSize, threads: 1, rows, validation: rows, order, seed, regularization })
}

const sites: Readonly<Record<string, Setting>> = {
  loraDropout: { lora: { loraDropout: 0.5 } },
  "loraDropout of DoRA": { lora: { loraDropout: 0.5, useDora: true } },
  // The head runs on the trained positions only.
  "loraDropout of the head": { lora: { loraDropout: 0.5, targetModules: ["lm_head"] } },
  attentionDropout: { attentionDropout: 0.5 },
  residualDropout: { residualDropout: 0.5 },
  embeddingDropout: { embeddingDropout: 0.5 },
  neftuneNoiseAlpha: { neftuneNoiseAlpha: 5 }
}

describe.each(Object.entries(sites))("%s", (_, setting) => {
  test("random numbers follow seed and step, and nothing else", async () => {
    const learner = await learnerWith(setting)
    const loss = (step: number): Promise<number> => learner.gradients(members, 1, step)
    const first = await loss(0)
    const others = [await loss(1), await (await learnerWith({ ...setting, seed: 1 })).gradients(members, 1, 0)]
    expect(new Set([first, ...others]).size).toBe(3)
    expect(await loss(0)).toBe(first)
    await learner.release()
  })

  test("validation reads the same weights without it", async () => {
    const { loraDropout: _, ...lora } = setting.lora ?? {}
    const [random, plain] = [await learnerWith(setting), await learnerWith({ lora })]
    const [a, b] = [await random.validation?.loss(members), await plain.validation?.loss(members)]
    expect(a).toBe(b)
    expect(a).toBe(await plain.gradients(members, 1, 0))
    expect(await random.gradients(members, 1, 0)).not.toBe(a)
  })
})

test("kept values are scaled up: over many masks the gradient of B is that without dropout", async () => {
  // With B at zero the masks change no loss, and B's gradient is linear in them.
  const [dropped, plain] = [await learnerWith({ lora: { loraDropout: 0.5 }, fresh: true }), await learnerWith({ fresh: true })]
  const ofB = ({ store }: typeof plain): number[] => store.trainables.flatMap(({ name, g }) => (name.includes("lora_B") ? [...g] : []))
  await plain.gradients(members, 1, 0)
  const exact = ofB(plain)
  let share = 0
  const steps = 50
  for (let step = 0; step < steps; step++) {
    await dropped.gradients(members, 1, step)
    share += ofB(dropped).reduce((sum, x, i) => sum + x * (exact[i] as number), 0) / exact.reduce((sum, x) => sum + x * x, 0) / steps
  }
  expect(Math.abs(share - 1)).toBeLessThan(0.05)
})

/** The rows in random order, cut at random, packed into rows of a random length or padded, with a row too many or not. */
const randomCut = (seed: number): Setting => {
  const order = [...permutation(seed, 0, 8)]
  const ends = order.map((_, i) => i + 1).filter((end) => end === 8 || uniform(seed, 1, end) < 0.4)
  const group = ends.map((end, i) => order.slice(i === 0 ? 0 : ends[i - 1], end))
  const length = Math.max(...lengths) + Math.floor(uniform(seed, 2, 0) * 60)
  const most = Math.max(...group.map((some) => (seed % 4 === 0 ? some : bestFit(lengths, some, length)).length))
  return { group, batchSize: most + (seed % 3), ...(seed % 4 === 0 ? {} : { layout: { length, commonPrefix: 0 } }) }
}

describe.each([
  ["lora", { lora: { loraDropout: 0.2 } }],
  ["dora with the head", { lora: { loraDropout: 0.2, useDora: true, targetModules: ["q_proj", "down_proj", "lm_head"] as const } }],
  ["full", { full: true }]
])("%s, everything dropped out, noise and smoothed labels", (_, method) => {
  const everything = {
    ...method,
    labelSmoothingFactor: 0.1,
    attentionDropout: 0.1,
    residualDropout: 0.2,
    embeddingDropout: 0.3,
    neftuneNoiseAlpha: 5
  }
  const step = async (cut: Setting) => {
    const learner = await learnerWith({ ...everything, ...cut })
    const sums = learner.store.trainables.map(({ g }) => new Float64Array(g.length))
    let loss = 0
    for (const some of cut.group ?? [members]) {
      // Another step's numbers lie in the arrays before: nothing of them may count.
      await learner.gradients(some, 1, 6)
      loss += (await learner.gradients(some, 1 / counted, 7)) / counted
      learner.store.trainables.forEach(({ g }, i) => g.forEach((x, k) => (sums[i]![k] = sums[i]![k]! + x)))
    }
    await learner.release()
    return { loss, gradient: sums.flatMap((sum) => Array.from(sum)) }
  }

  test("the step's gradient is the same for any cut, padding and packing", async () => {
    const whole = await step({})
    for (let seed = 0; seed < 8; seed++) {
      const cut = await step(randomCut(seed))
      const off = Math.hypot(...cut.gradient.map((x, i) => x - whole.gradient[i]!)) / Math.hypot(...whole.gradient)
      expect(off).toBeLessThan(1e-6)
      expect(Math.abs(cut.loss / whole.loss - 1)).toBeLessThan(1e-6)
    }
  })
})

test("smoothed labels change the training loss, not the validation loss", async () => {
  const [smoothed, plain] = [await learnerWith({ labelSmoothingFactor: 0.2 }), await learnerWith({})]
  expect(await smoothed.validation?.loss(members)).toBe(await plain.validation?.loss(members))
  expect(await smoothed.gradients(members, 1, 0)).not.toBeCloseTo(await plain.gradients(members, 1, 0), 3)
})

test("a micro-batch without targets has no loss and no gradient", async () => {
  const learner = await learnerWith({ group: [[0], []] })
  await learner.gradients([0], 1, 0)
  expect(await learner.gradients([], 1, 0)).toBe(0)
  expect(learner.store.trainables.every(({ g }) => g.every((x) => x === 0))).toBe(true)
})
