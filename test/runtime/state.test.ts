// Early stopping counts as transformers does: per validation, against the best loss before it.
import { describe, expect, test } from "vitest"
import { afterLog, afterStep, afterValidation, initialState, isValidated, type TrainState } from "#src/runtime/TrainState.ts"

const validated = (losses: readonly number[], threshold: number): TrainState =>
  losses.reduce<TrainState>((state, loss) => afterValidation(afterStep(state, 1, 1), loss, threshold), initialState)

describe("validation", () => {
  test("an improvement resets the count, anything else adds to it", () => {
    expect(validated([3, 2, 2.5, 2.1, 2], 0)).toMatchObject({ best: { step: 2, loss: 2 }, misses: 3 })
    expect(validated([3, 2, 2.5, 1.9], 0)).toMatchObject({ best: { step: 4, loss: 1.9 }, misses: 0 })
  })

  test("a gain below the threshold is the best model but no improvement", () => {
    expect(validated([3, 2.95, 2.9], 0.1)).toMatchObject({ best: { step: 3, loss: 2.9 }, misses: 2 })
  })

  test("a state knows whether its step was validated", () => {
    const state = validated([3], 0)
    expect(isValidated(state)).toBe(true)
    expect(isValidated(afterStep(state, 1, 1))).toBe(false)
  })
})

test("the log's window restarts, the whole run's sums go on", () => {
  const state = afterStep(afterLog(afterStep(afterStep(initialState, 2, 10), 4, 10), { loss: 3 }), 6, 10)
  expect(state).toMatchObject({
    step: 3,
    tokens: 30,
    lossSum: 12,
    window: { steps: 1, lossSum: 6 },
    log: [{ step: 2, values: { loss: 3 } }]
  })
})
