// The loop itself, with a learner of three weights whose gradients are plain arithmetic: counts, validation, best model,
// stopping and resuming at every step.
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { trainingOrder } from "#src/batching/order.ts"
import { InterruptedError, TrainingError } from "#src/domain/Errors.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import { ParamStore } from "#src/runtime/ParamStore.ts"
import { type Learner, runTraining, type Trained, type TrainerOptions } from "#src/runtime/Trainer.ts"

let folder = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "anneal-trainer-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const rows = 10
const options: TrainerOptions = {
  learningRate: 0.05,
  weightDecay: 0.1,
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  maxGradNorm: 1,
  schedule: "cosine",
  warmupRatio: 0.1,
  warmupSteps: 0,
  saveTotalLimit: 2,
  loadBestModelAtEnd: true,
  earlyStoppingThreshold: 0,
  loggingSteps: 2
}
const order = trainingOrder({ rows, batchSize: 2, gradientAccumulationSteps: 2, epochs: 3, seed: 1 })

/** Row r pulls the weights towards (sin r, cos r, r / 10); it has r % 3 + 1 trained tokens. `losses` are the validations' results. */
const learner = (losses?: readonly number[], breaksAt = Infinity): Learner => {
  const store = new ParamStore([{ name: "w", shape: [3], decay: true }], true)
  const { p, g } = store.trainables[0] as (typeof store.trainables)[number]
  const sizes = { lengths: new Int32Array(rows).fill(4), targets: Int32Array.from({ length: rows }, (_, r) => (r % 3) + 1) }
  let validations = 0
  return {
    store,
    sizes,
    gradients: (members, scale, step) => {
      if (step >= breaksAt) return Promise.resolve(Number.NaN)
      g.fill(0)
      let loss = 0
      for (const r of members) {
        for (const [i, target] of [Math.sin(r), Math.cos(r), r / 10].entries()) {
          const off = (p[i] as number) - target
          loss += off * off * (sizes.targets[r] as number)
          g[i] = (g[i] as number) + 2 * off * (sizes.targets[r] as number) * scale
        }
      }
      return Promise.resolve(loss)
    },
    ...(losses === undefined
      ? {}
      : {
          validation: {
            sizes: { lengths: Int32Array.of(3), targets: Int32Array.of(2) },
            batches: [[0]],
            // A function of the weights, unless the test dictates it.
            loss: () => Promise.resolve(2 * (losses[validations++] ?? Math.abs((p[0] as number) - 0.2)))
          }
        })
  }
}

interface Outcome {
  readonly trained?: Trained
  readonly error?: unknown
  readonly weights: Float32Array
  readonly events: readonly StageEvent[]
  readonly kept: readonly (readonly number[])[]
}

/** Runs until the end, or until a stop is requested at the `stopAt`-th question. */
const run = async (who: Learner, more: Partial<TrainerOptions> = {}, stopAt = Infinity): Promise<Outcome> => {
  const events: StageEvent[] = []
  const kept: (readonly number[])[] = []
  let questions = 0
  const result = await runTraining({ ...options, ...more }, order, who, {
    checkpoints: new Checkpoints(folder, () => undefined),
    emit: (event) => events.push(event),
    stopRequested: () => ++questions === stopAt,
    keepBatch: (step, members) => `${kept.push(members)}-${step}`
  }).then(
    (trained) => ({ trained }),
    (error: unknown) => ({ error })
  )
  return { ...result, weights: who.store.trainables[0]?.p as Float32Array, events, kept }
}
const count = (events: readonly StageEvent[], tag: StageEvent["_tag"]): number => events.filter((event) => event._tag === tag).length
const metric = (events: readonly StageEvent[], name: string): readonly (number | null)[] =>
  events.flatMap((event) => (event._tag === "Metrics" && name in event.values ? [event.values[name] as number] : []))

test("nine steps: logged every two and at the end, validated and saved each epoch", async () => {
  const { trained, events } = await run(learner([3, 2, 1]))
  expect(trained).toMatchObject({ modelStep: 9, state: { step: 9, tokens: 57, misses: 0, best: { step: 9, loss: 1 } } })
  expect(metric(events, "loss").length).toBe(5)
  expect(metric(events, "learningRate").at(-1)).toBeGreaterThan(0)
  expect(metric(events, "epoch").at(-1)).toBe(3)
  expect(metric(events, "validationLoss")).toEqual([3, 2, 1])
  expect(count(events, "Saved")).toBe(3)
  expect(readdirSync(folder).sort()).toEqual(["step-6", "step-9"])
})

test("without validation the last weights are the result", async () => {
  const { trained } = await run(learner())
  expect(trained).toMatchObject({ modelStep: 9, state: { best: null, validations: [] } })
})

describe("best model", () => {
  test("the weights with the lowest validation loss come back, and their checkpoint is kept", async () => {
    // The questions before it: six steps, two validations.
    const atSix = await run(learner([3, 1, 2]), {}, 9)
    expect(atSix.error).toMatchObject({ message: "stopped after step 6 of 9; a checkpoint is saved" })
    rmSync(folder, { recursive: true })
    const whole = await run(learner([3, 1, 2]))
    expect(whole.trained).toMatchObject({ modelStep: 6, state: { step: 9 } })
    expect(whole.weights).toEqual(atSix.weights)
    expect(readdirSync(folder).sort()).toEqual(["step-6", "step-9"])
    rmSync(folder, { recursive: true })
    const last = await run(learner([3, 1, 2]), { loadBestModelAtEnd: false })
    expect(last.trained?.modelStep).toBe(9)
    expect(last.weights).not.toEqual(whole.weights)
  })

  test("early stopping ends the run after so many validations without improvement", async () => {
    const { trained, events } = await run(learner([3, 4, 5, 1, 1]), { evalSteps: 2, earlyStoppingPatience: 2 })
    expect(trained).toMatchObject({ modelStep: 2, state: { step: 6, misses: 2 } })
    expect(metric(events, "validationLoss")).toEqual([3, 4, 5])
  })
})

describe("resume", () => {
  test("a stop at any point, then the same command again, ends in the same bytes and sums", async () => {
    const whole = await run(learner([]), { evalSteps: 2, saveSteps: 4 })
    const questions = 9 + 5
    for (let stopAt = 1; stopAt <= questions; stopAt++) {
      rmSync(folder, { recursive: true })
      const first = await run(learner([]), { evalSteps: 2, saveSteps: 4 }, stopAt)
      expect(first.error).toBeInstanceOf(InterruptedError)
      const second = await run(learner([]), { evalSteps: 2, saveSteps: 4 })
      expect([stopAt, second.weights, second.trained]).toEqual([stopAt, whole.weights, whole.trained])
      expect(count(second.events, "Resumed")).toBe(stopAt === 1 ? 0 : 1)
      // The resumed run tells the figures of the steps before it, so that its journal has the whole curve.
      for (const name of ["loss", "validationLoss"]) expect(metric(second.events, name)).toEqual(metric(whole.events, name))
    }
  })

  test("a finished run resumed from its last checkpoint does nothing again", async () => {
    const whole = await run(learner([]))
    const again = await run(learner([]))
    expect([again.weights, again.trained]).toEqual([whole.weights, whole.trained])
    expect(count(again.events, "Progress")).toBe(0)
  })
})

test("a loss that is not a number fails, keeps the batch, and leaves weights and checkpoints alone", async () => {
  const { error, kept, events } = await run(learner(undefined, 5), { saveSteps: 4 })
  expect(error).toBeInstanceOf(TrainingError)
  expect(String((error as TrainingError).where)).toBe("the batch is kept in 1-6")
  expect(kept).toEqual([order.group(5)[0]])
  expect(count(events, "Alert")).toBe(1)
  expect(readdirSync(folder)).toEqual(["step-4"])
  const { trained } = await run(learner())
  expect(trained?.state.step).toBe(9)
})
