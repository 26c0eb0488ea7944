// Early stopping counts as transformers does: per validation, against the best loss before it.
import { describe, expect, test } from "vitest"
import { afterSkip, afterStep, afterValidation, initialState, isValidated, madeSteps, type TrainState } from "#src/runtime/TrainState.ts"

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

test("a skipped step counts for the order of the rows, not for sums and steps made", () => {
  const skipped = afterSkip(afterSkip(afterStep(initialState, 2, 10)))
  expect(skipped).toMatchObject({ step: 3, tokens: 10, lossSum: 2, skipped: 2, skippedInRow: 2 })
  expect(madeSteps(skipped)).toBe(1)
  expect(afterStep(skipped, 4, 5)).toMatchObject({ step: 4, tokens: 15, lossSum: 6, skipped: 2, skippedInRow: 0 })
})
