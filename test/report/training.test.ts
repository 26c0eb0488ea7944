// The arithmetic behind a line of figures: z-scores, smoothing, time left.
import { expect, test } from "vitest"
import { runViewOf, type StageView } from "#src/domain/RunView.ts"
import { zScore } from "#src/domain/zScore.ts"
import { position, remaining, smooth } from "#src/report/training.ts"
import { liveJournal } from "./journal.ts"

const train = runViewOf(liveJournal).stages.find((stage) => stage.id === "train") as StageView

test("the z-score is that of the newest value among those before it; too few or all equal ones give none", () => {
  // 1 and 3 in turn: mean 2, standard deviation 1.
  const before = [1, 3, 1, 3, 1, 3, 1, 3]
  expect(zScore(before, 5)).toBeCloseTo(3, 12)
  expect(zScore(before, 1.5)).toBeCloseTo(-0.5, 12)
  expect(zScore(before.slice(0, 7), 1)).toBeUndefined()
  expect(zScore([2, 2, 2, 2, 2, 2, 2, 2], 9)).toBeUndefined()
})

test("smoothing: one value is itself, a constant stays, two values weigh 0.9 to 1", () => {
  expect(smooth([])).toBeUndefined()
  expect(smooth([4])).toBeCloseTo(4, 12)
  expect(smooth(Array.from({ length: 50 }, () => 2))).toBeCloseTo(2, 12)
  expect(smooth([1, 2])).toBeCloseTo((0.9 * 1 + 2) / 1.9, 12)
})

test("time left follows the pace since this attempt's first progress, not since step 0", () => {
  // From step 21 at second 2 to step 81 at second 62: one a second, 39 steps are left.
  expect(remaining(train, "2026-01-02T03:05:07.000Z")).toBe(39_000)
  expect(remaining({ ...train, progress: null }, "2026-01-02T03:05:07.000Z")).toBeUndefined()
})

test("the position is the newest step, also when its figures come before the progress that counts it", () => {
  expect(position(train)).toBe("step 81/120")
  expect(position({ ...train, step: 82 })).toBe("step 82/120")
  expect(position({ ...train, progress: null })).toBe("step 81")
})
