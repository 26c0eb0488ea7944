// The loop itself, with a learner of three weights whose gradients are plain arithmetic: counts, validation, best model,
// stopping and resuming at every step.
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { trainingOrder } from "#src/batching/order.ts"
import { InterruptedError, TrainingError } from "#src/domain/Errors.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import { openTensorFile } from "#src/models/weights.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import { type Optimizer, optimizerDefaults } from "#src/graph/optimizer.ts"
import { ParamStore } from "#src/runtime/ParamStore.ts"
import type { Learner } from "#src/runtime/Learner.ts"
import { tensorRates } from "#src/runtime/rates.ts"
import { optimizerStep } from "#src/runtime/optimizerStep.ts"
import type { StepOutcome, StepPlan } from "#src/runtime/step.ts"
import { runTraining, type Trained, type TrainerOptions } from "#src/runtime/Trainer.ts"

let folder = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "anneal-trainer-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const rows = 10
const options: TrainerOptions = {
  learningRate: 0.05,
  weightDecay: 0.1,
  maxGradNorm: 1,
  schedule: "cosine",
  warmupRatio: 0.1,
  saveTotalLimit: 2,
  loadBestModelAtEnd: true,
  earlyStoppingThreshold: 0,
  loggingSteps: 2
}
const order = trainingOrder({ rows, batchSize: 2, gradientAccumulationSteps: 2, epochs: 3, seed: 1 })

/** Row r pulls the weights towards (sin r, cos r, r / 10); it has r % 3 + 1 trained tokens. `losses` are the validations' results. */
const learner = (
  losses?: readonly number[],
  breaks: (step: number) => boolean = () => false,
  optimizer: Optimizer = optimizerDefaults.adamw
): Learner => {
  const store = new ParamStore([{ name: "w", shape: [3], decay: true }], true, false, optimizer)
  const { p, g } = store.trainables[0] as (typeof store.trainables)[number]
  const targets = Int32Array.from({ length: rows }, (_, r) => (r % 3) + 1)
  const sizes = { lengths: new Int32Array(rows).fill(4), targets, commonPrefix: 0 }
  let validations = 0
  return {
    store,
    sizes,
    gradients: (members, scale, step) => {
      if (breaks(step)) return Promise.resolve(Number.NaN)
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
            sizes: { lengths: Int32Array.of(3), targets: Int32Array.of(2), commonPrefix: 0 },
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
const run = async (
  who: Learner,
  more: Partial<TrainerOptions> = {},
  stopAt = Infinity,
  checkpoints = new Checkpoints(folder, () => undefined)
): Promise<Outcome> => {
  const events: StageEvent[] = []
  const kept: (readonly number[])[] = []
  let questions = 0
  const result = await runTraining({ ...options, ...more }, order, who, {
    checkpoints,
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

test("a disk without room for two checkpoints more is told once", async () => {
  class OnDisk extends Checkpoints {
    readonly left: number
    constructor(left: number) {
      super(folder, () => undefined)
      this.left = left
    }
    override room(): number {
      return this.left
    }
  }
  const alerts = ({ events }: Outcome) => events.filter((event) => event._tag === "Alert")
  const [first] = alerts(await run(learner([3, 2, 1]), {}, Infinity, new OnDisk(1000)))
  expect(first).toMatchObject({
    kind: "low-disk",
    step: 3,
    detail: expect.stringMatching(/^the disk has 1.0 kB left, and a checkpoint takes /)
  })
  rmSync(folder, { recursive: true })
  expect(alerts(await run(learner([3, 2, 1]), {}, Infinity, new OnDisk(1000)))).toHaveLength(1)
  rmSync(folder, { recursive: true })
  expect(alerts(await run(learner([3, 2, 1]), {}, Infinity, new OnDisk(1e6)))).toEqual([])
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

  const optimizers: readonly Optimizer[] = [
    optimizerDefaults.lion,
    optimizerDefaults.sgd,
    { kind: "sgd", momentum: 0.9 },
    optimizerDefaults.adafactor
  ]
  test.each(optimizers)("$kind, momentum $momentum: the same, from exactly the state that it keeps", async (optimizer) => {
    const of = () => learner(undefined, undefined, optimizer)
    const whole = await run(of())
    rmSync(folder, { recursive: true })
    expect((await run(of(), {}, 6)).error).toBeInstanceOf(InterruptedError)
    const saved = openTensorFile(join(folder, "step-5", "optimizer.safetensors"))
    const { trainables } = of().store
    expect([...saved.keys()]).toEqual(trainables[0]?.state.map(({ key }) => `${key}.w`))
    const second = await run(of())
    expect([second.weights, second.trained?.state]).toEqual([whole.weights, whole.trained?.state])
  })

  test("a finished run resumed from its last checkpoint does nothing again", async () => {
    const whole = await run(learner([]))
    const again = await run(learner([]))
    expect([again.weights, again.trained]).toEqual([whole.weights, whole.trained])
    expect(count(again.events, "Progress")).toBe(0)
  })
})

test("a loss that is not a number fails, keeps the batch, and leaves weights and checkpoints alone", async () => {
  const { error, kept, events } = await run(
    learner(undefined, (step) => step >= 5),
    { saveSteps: 4 }
  )
  expect(error).toBeInstanceOf(TrainingError)
  expect(String((error as TrainingError).where)).toBe("the batch is kept in 1-6")
  expect(kept).toEqual([order.group(5)[0]])
  expect(count(events, "Alert")).toBe(1)
  expect(readdirSync(folder)).toEqual(["step-4"])
  const { trained } = await run(learner())
  expect(trained?.state.step).toBe(9)
})

describe("a step that is not finite is skipped where asked", () => {
  const skipping = { onNonFinite: "skip" } as const

  test("weights, optimizer and schedule stay as they were; the alert, the batch and the count are kept", async () => {
    const { trained, kept, events } = await run(
      learner(undefined, (step) => step === 2),
      skipping
    )
    expect(trained?.state).toMatchObject({ step: 9, skipped: 1, skippedInRow: 0 })
    expect(kept).toEqual([order.group(2)[0]])
    const alert = { kind: "non-finite", step: 3, detail: "the loss of step 3 is NaN: the step is skipped; kept: 1-3", batch: "1-3" }
    expect(trained?.state.alerts).toEqual([alert])
    expect(events.filter(({ _tag }) => _tag === "Alert")).toEqual([{ _tag: "Alert", ...alert }])
    // The step after it takes the rate that it would have had.
    const rates = trained?.log.column("learningRate") ?? []
    expect(rates[3]).toBe(rates[2])
    expect(trained?.log.column("loss").map(Number.isNaN)).toEqual([false, false, true, ...new Array<boolean>(6).fill(false)])
  })

  test("a run of which the last step is skipped ends as one that never had it", async () => {
    const eight = { ...order, totalSteps: 8 }
    const schedule = { schedule: "constant" } as const
    const { warmupRatio: _, ...constant } = options
    const host = (name: string) => ({
      checkpoints: new Checkpoints(join(folder, name), () => undefined),
      emit: () => undefined,
      stopRequested: () => false,
      keepBatch: () => "kept"
    })
    const skipped = learner(undefined, (step) => step === 8)
    const shorter = learner()
    await runTraining({ ...constant, ...schedule, ...skipping }, order, skipped, host("a"))
    await runTraining({ ...constant, ...schedule }, eight, shorter, host("b"))
    expect(skipped.store.trainables).toEqual(shorter.store.trainables.map((t, i) => ({ ...t, g: skipped.store.trainables[i]?.g })))
  })

  test("a stop and a resume around it end in the same bytes, and tell the alert once", async () => {
    const broken = () => learner([], (step) => step === 2 || step === 6)
    const whole = await run(broken(), { ...skipping, evalSteps: 2 })
    for (let stopAt = 2; stopAt <= 13; stopAt++) {
      rmSync(folder, { recursive: true })
      expect((await run(broken(), { ...skipping, evalSteps: 2 }, stopAt)).error).toBeInstanceOf(InterruptedError)
      const second = await run(broken(), { ...skipping, evalSteps: 2 })
      expect([stopAt, second.weights, second.trained?.state.step]).toEqual([stopAt, whole.weights, 9])
      const told = (events: readonly StageEvent[]) => events.flatMap((event) => (event._tag === "Alert" ? [[event.kind, event.step]] : []))
      expect(told(second.events)).toEqual(told(whole.events))
    }
  })

  test("several steps in one run, where the learner works so: the same bytes, also around skipped steps and over a stop", async () => {
    const together = (breaks: (step: number) => boolean, seen: number[] = []): Learner => {
      const who = learner([], breaks)
      const make = async (plans: readonly StepPlan[]): Promise<readonly StepOutcome[]> => {
        const outcomes: StepOutcome[] = []
        for (const plan of plans) {
          if (outcomes.at(-1)?.broken === undefined) outcomes.push(await optimizerStep(plan, who))
        }
        seen.push(outcomes.length)
        return outcomes
      }
      return { ...who, steps: { most: 4, run: make } }
    }
    const broken = (step: number): boolean => step === 1 || step === 6
    const one = await run(learner([], broken), { ...skipping, evalSteps: 5 })
    rmSync(folder, { recursive: true })
    const seen: number[] = []
    const four = await run(together(broken, seen), { ...skipping, evalSteps: 5 })
    // To the broken second step, to the validation at 5, to the broken seventh, to the end.
    expect(seen).toEqual([2, 3, 2, 2])
    expect([four.weights, four.trained?.state]).toEqual([one.weights, one.trained?.state])
    expect(four.trained?.log.bytes()).toEqual(one.trained?.log.bytes())
    for (let stopAt = 1; stopAt <= 5; stopAt++) {
      rmSync(folder, { recursive: true })
      expect((await run(together(broken), { ...skipping, evalSteps: 5 }, stopAt)).error).toBeInstanceOf(InterruptedError)
      expect((await run(together(broken), { ...skipping, evalSteps: 5 })).weights).toEqual(one.weights)
    }
  })

  describe("a scaled loss", () => {
    /** Gradients overflow where the loss is scaled by more than `most`. */
    const overflowing = (most: number): Learner => {
      const who = learner([])
      return {
        ...who,
        gradients: async (members, scale, step) => {
          const loss = await who.gradients(members, scale, step)
          const tokens = order
            .group(step)
            .flat()
            .reduce((sum, row) => sum + (who.sizes.targets[row] as number), 0)
          if (scale * tokens > most) who.store.trainables[0]?.g.fill(Infinity)
          return loss
        }
      }
    }
    const schedule = { schedule: "linear", warmupSteps: 0 } as const

    test("steps that overflow are skipped until the scale is small enough, and count for no schedule", async () => {
      const { warmupRatio: _, ...rest } = options
      const { trained, events } = await run(overflowing(2 ** 14), {
        ...rest,
        ...schedule,
        scalesLoss: true,
        onNonFinite: "fail",
        loggingSteps: 1
      })
      expect(trained?.state).toMatchObject({ step: 9, skipped: 2, skippedInRow: 0, alerts: [], lossScale: { scale: 2 ** 14, good: 7 } })
      expect(metric(events, "learningRate").slice(0, 4)).toEqual(
        [0, 1, 2, 3].map((step) => options.learningRate * (1 - Math.max(0, step - 2) / 9))
      )
      expect(events.flatMap((event) => (event._tag === "Log" ? [event.text] : [])).filter((text) => text.includes("loss scale"))).toEqual([
        "the gradient norm of step 1 is Infinity: the step is skipped, the loss scale is 32768 now",
        "the gradient norm of step 2 is Infinity: the step is skipped, the loss scale is 16384 now"
      ])
    })

    test("a loss that overflows in the forward pass is skipped too: its gradients overflow with it", async () => {
      const who = learner([])
      const nan: Learner = {
        ...who,
        gradients: (members, scale, step) => (step === 2 ? Promise.resolve(NaN) : who.gradients(members, scale, step))
      }
      const { trained, events } = await run(nan, { scalesLoss: true, onNonFinite: "fail", loggingSteps: 1 })
      expect(trained?.state).toMatchObject({ skipped: 1, skippedInRow: 0, alerts: [], lossScale: { scale: 2 ** 15 } })
      expect(metric(events, "lossScale").slice(0, 4)).toEqual([2 ** 16, 2 ** 16, 2 ** 15, 2 ** 15])
    })

    test("the scale changes no step, and a resumed run goes on with it", async () => {
      const plain = await run(learner([]))
      rmSync(folder, { recursive: true })
      const scaled = await run(overflowing(Infinity), { scalesLoss: true })
      expect(scaled.weights).toEqual(plain.weights)
      rmSync(folder, { recursive: true })
      const whole = await run(overflowing(2 ** 15), { scalesLoss: true })
      rmSync(folder, { recursive: true })
      expect((await run(overflowing(2 ** 15), { scalesLoss: true }, 4)).error).toBeInstanceOf(InterruptedError)
      const rest = await run(overflowing(2 ** 15), { scalesLoss: true })
      expect([rest.weights, rest.trained?.state]).toEqual([whole.weights, whole.trained?.state])
    })

    test("overflow at a scale of 1 is a gradient that is not finite", async () => {
      const long = trainingOrder({ rows, batchSize: 2, gradientAccumulationSteps: 2, epochs: 9, seed: 1 })
      const error = await runTraining({ ...options, scalesLoss: true }, long, overflowing(0.5), {
        checkpoints: new Checkpoints(folder, () => undefined),
        emit: () => undefined,
        stopRequested: () => false,
        keepBatch: () => "kept"
      }).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ message: "the gradient norm of step 17 is Infinity" })
    })
  })

  test("too many in a row fail", async () => {
    const { error, trained } = await run(
      learner(undefined, (step) => step >= 4),
      { ...skipping, maxSkippedSteps: 3 }
    )
    expect(trained).toBeUndefined()
    expect(error).toMatchObject({ message: "3 steps in a row were skipped, the last because the loss of step 7 is NaN" })
    rmSync(folder, { recursive: true })
    const all = await run(
      learner(undefined, () => true),
      skipping
    )
    expect(all.error).toMatchObject({ message: "all 9 steps were skipped" })
  })

  test("a gradient that is not finite is skipped too", async () => {
    const who = learner()
    const before = who.gradients
    const inf = {
      ...who,
      gradients: async (m: readonly number[], scale: number, step: number) => {
        const loss = await before(m, scale, step)
        if (step === 1) who.store.trainables[0]?.g.fill(Infinity)
        return loss
      }
    }
    const { trained, weights } = await run(inf, skipping)
    expect(trained?.state.alerts).toMatchObject([
      { kind: "non-finite", detail: expect.stringContaining("the gradient norm of step 2 is Infinity") }
    ])
    expect(weights.every(Number.isFinite)).toBe(true)
  })
})

test("a step without a trained token changes nothing and says so", async () => {
  const who = learner()
  for (const row of order.group(4).flat()) who.sizes.targets[row] = 0
  const { trained } = await run(who, { loggingSteps: 1 })
  expect(trained?.state.alerts.filter(({ step }) => step === 5)).toMatchObject([
    { kind: "no-targets", detail: expect.stringContaining("step 5 has no trained token") }
  ])
  expect(trained?.log.get(4, "tokens")).toBe(0)
})

test("groups of tensors learn at rates of their own; a tensor's own factor gives way to them", () => {
  const specs = [
    { name: "layers.0.lora_A.weight", shape: [2], decay: true },
    { name: "layers.0.lora_B.weight", shape: [2], decay: true, learningRateScale: 16 },
    { name: "layers.1.lora_B.weight", shape: [2], decay: true, learningRateScale: 16 },
    { name: "layers.0.norm", shape: [2], decay: false }
  ]
  const parameterGroups = [
    { match: ["*.0.lora_B.*"], learningRate: 0.3, weightDecay: 0.5 },
    { match: ["layers.0.*", "nothing"], learningRateScale: 2, weightDecay: 0.7 }
  ]
  const rates = tensorRates({ learningRate: 0.1, weightDecay: 0.01, parameterGroups }, specs)(0.05)
  expect(specs.map((spec) => rates(spec))).toEqual([
    { learningRate: 0.1, weightDecay: 0.7 },
    { learningRate: expect.closeTo(0.15, 15) as number, weightDecay: 0.5 },
    { learningRate: 0.8, weightDecay: 0.01 },
    { learningRate: 0.1, weightDecay: 0 }
  ])
})
