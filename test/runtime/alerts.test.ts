// What counts as unusual, and that it is said once when it begins.
import { describe, expect, test } from "vitest"
import { stepAlerts, validationAlerts } from "#src/runtime/alerts.ts"
import { StepLog, type StepRecord } from "#src/runtime/StepLog.ts"

const usual: StepRecord = { loss: 1, gradNorm: 1, learningRate: 1e-3, tokens: 8, relativeUpdate: 1e-3 }

/** Steps at which an alert of a kind begins, when these steps come one after the other. */
const stepsOf = (kind: string, records: readonly Partial<StepRecord>[]): readonly number[] => {
  const log = new StepLog()
  let made = 0
  return records.flatMap((record) => {
    log.push({ ...usual, ...record })
    const skipped = Number.isNaN(record.relativeUpdate ?? 0)
    const found = skipped ? [] : stepAlerts(log, made)
    if (!skipped) made++
    return found.filter((alert) => alert.kind === kind).map(({ step }) => step)
  })
}
const noisy = (n: number): readonly Partial<StepRecord>[] =>
  Array.from({ length: n }, (_, i) => ({ loss: 2 + 0.1 * Math.sin(i * 12.9898) }))

describe("a loss spike", () => {
  test("lies more than 4 deviations from the 128 losses before it", () => {
    expect(stepsOf("loss-spike", [...noisy(40), { loss: 2.4 }, ...noisy(5)])).toEqual([41])
    expect(stepsOf("loss-spike", [...noisy(40), { loss: 2.2 }, ...noisy(5)])).toEqual([])
    expect(stepsOf("loss-spike", [...noisy(40), { loss: 1 }])).toEqual([41])
    // What lies further back does not count: two other levels long ago.
    const levels = Array.from({ length: 80 }, (_, i) => ({ loss: i % 2 === 0 ? 1 : 9 }))
    expect(stepsOf("loss-spike", [...levels, ...noisy(100), { loss: 2.5 }])).toEqual([])
    expect(stepsOf("loss-spike", [...levels, ...noisy(128), { loss: 2.5 }])).toEqual([209])
  })

  test("is not seen among too few, and said once where it lasts", () => {
    expect(stepsOf("loss-spike", [...noisy(31), { loss: 9 }])).toEqual([])
    expect(stepsOf("loss-spike", [...noisy(60), { loss: 9 }, { loss: 9 }, { loss: 9 }])).toEqual([61])
  })

  test("a skipped step's loss counts nowhere", () => {
    const skipped = { loss: Number.NaN, relativeUpdate: Number.NaN }
    expect(stepsOf("loss-spike", [...noisy(40), skipped, { loss: 2.4 }])).toEqual([42])
  })
})

describe("a dead learning rate", () => {
  const zero = { learningRate: 0, relativeUpdate: 0 }
  test("is 0 after the first step of a warmup, said once", () => {
    expect(stepsOf("dead-learning-rate", [zero, {}, {}])).toEqual([])
    expect(stepsOf("dead-learning-rate", [zero, zero, zero, {}])).toEqual([2])
    expect(stepsOf("dead-learning-rate", [{}, {}, zero, zero])).toEqual([3])
    // A skipped first step leaves the schedule at its begin.
    expect(stepsOf("dead-learning-rate", [{ learningRate: 0, relativeUpdate: Number.NaN }, zero, {}])).toEqual([])
  })

  test("or leaves the weights as they are for 20 steps", () => {
    const dead = (n: number) => new Array<Partial<StepRecord>>(n).fill({ relativeUpdate: 9e-10 })
    expect(stepsOf("dead-learning-rate", dead(19))).toEqual([])
    expect(stepsOf("dead-learning-rate", [{}, ...dead(45)])).toEqual([21])
    expect(stepsOf("dead-learning-rate", [...dead(20), {}, ...dead(20)])).toEqual([20, 41])
  })
})

test("overfitting: the validation loss rises three times in a row, said once", () => {
  const stepsAt = (losses: readonly number[]): readonly number[] =>
    losses.flatMap((_, i) => validationAlerts(losses.slice(0, i + 1).map((loss, k) => ({ step: k + 1, loss }))).map(({ step }) => step))
  expect(stepsAt([3, 2, 2.1, 2.2, 2.3, 2.4])).toEqual([5])
  expect(stepsAt([3, 2, 2.1, 2.2, 2.2, 2.3, 2.4])).toEqual([])
  expect(stepsAt([1, 2, 3, 4, 3, 4, 5, 6])).toEqual([4, 8])
})
