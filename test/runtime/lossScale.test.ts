// The loss scale moves as torch.amp.GradScaler's.
import { expect, test } from "vitest"
import { afterGood, afterOverflow, initialLossScale, scaleAhead } from "#src/runtime/lossScale.ts"

test("doubled after 2000 good steps in a row, halved by an overflow, never below 1", () => {
  let state = initialLossScale
  for (let step = 0; step < 1999; step++) state = afterGood(state)
  expect(state).toEqual({ scale: 65536, good: 1999 })
  expect(afterGood(state)).toEqual({ scale: 131072, good: 0 })
  expect(afterOverflow(state)).toEqual({ scale: 32768, good: 0 })
  expect(afterOverflow({ scale: 2, good: 5 })).toEqual({ scale: 1, good: 0 })
  expect(afterOverflow({ scale: 1, good: 5 })).toBeUndefined()
})

test("what it will be after so many steps without overflow", () => {
  expect([0, 1999, 2000, 4000].map((steps) => scaleAhead(initialLossScale, steps))).toEqual([65536, 65536, 131072, 262144])
  expect(scaleAhead(undefined, 3)).toBe(1)
})
