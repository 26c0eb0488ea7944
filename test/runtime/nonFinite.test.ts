// Steps whose loss or gradient is not finite: the run fails, or skips them where asked.
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { trainingOrder } from "#src/batching/order.ts"
import { InterruptedError, TrainingError } from "#src/domain/Errors.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import type { Learner } from "#src/runtime/Learner.ts"
import { optimizerStep } from "#src/runtime/optimizerStep.ts"
import type { StepOutcome, StepPlan } from "#src/runtime/step.ts"
import { runTraining } from "#src/runtime/Trainer.ts"

import { count, folder, learner, metric, options, order, rows, run } from "./training.ts"

test("a loss that is not a number fails, keeps the batch, and leaves weights and checkpoints alone", async () => {
  const { error, kept, events } = await run(
    learner(undefined, (step) => step >= 5),
    { saveSteps: 4 }
  )
  expect(error).toBeInstanceOf(TrainingError)
  expect(String((error as TrainingError).where)).toBe("the batch is kept in 1-6")
  expect(kept).toEqual([order.group(5)[0]])
  expect(count(events, "Alert")).toBe(1)
  expect(readdirSync(folder())).toEqual(["step-4"])
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
      checkpoints: new Checkpoints(join(folder(), name), () => undefined),
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
      rmSync(folder(), { recursive: true })
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
    rmSync(folder(), { recursive: true })
    const seen: number[] = []
    const four = await run(together(broken, seen), { ...skipping, evalSteps: 5 })
    // To the broken second step, to the validation at 5, to the broken seventh, to the end.
    expect(seen).toEqual([2, 3, 2, 2])
    expect([four.weights, four.trained?.state]).toEqual([one.weights, one.trained?.state])
    expect(four.trained?.log.bytes()).toEqual(one.trained?.log.bytes())
    for (let stopAt = 1; stopAt <= 5; stopAt++) {
      rmSync(folder(), { recursive: true })
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
      rmSync(folder(), { recursive: true })
      const scaled = await run(overflowing(Infinity), { scalesLoss: true })
      expect(scaled.weights).toEqual(plain.weights)
      rmSync(folder(), { recursive: true })
      const whole = await run(overflowing(2 ** 15), { scalesLoss: true })
      rmSync(folder(), { recursive: true })
      expect((await run(overflowing(2 ** 15), { scalesLoss: true }, 4)).error).toBeInstanceOf(InterruptedError)
      const rest = await run(overflowing(2 ** 15), { scalesLoss: true })
      expect([rest.weights, rest.trained?.state]).toEqual([whole.weights, whole.trained?.state])
    })

    test("overflow at a scale of 1 is a gradient that is not finite", async () => {
      const long = trainingOrder({ rows, batchSize: 2, gradientAccumulationSteps: 2, epochs: 9, seed: 1 })
      const error = await runTraining({ ...options, scalesLoss: true }, long, overflowing(0.5), {
        checkpoints: new Checkpoints(folder(), () => undefined),
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
    rmSync(folder(), { recursive: true })
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
