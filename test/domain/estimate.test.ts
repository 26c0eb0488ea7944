// How long a plan takes, from what its stages took before.
import { expect, test } from "vitest"
import { estimateOf, totalEstimate } from "#src/domain/estimate.ts"
import type { PlannedStage } from "#src/domain/RunEvent.ts"

const past = [30, 1000, 10, 20, 5, 9000].map((ms) => ({ stage: "train", ms }))

test("the median of a stage's five newest results", () => {
  expect(estimateOf(past, "train")).toEqual({ seconds: 0.02, runs: 5 })
  expect(estimateOf(past.slice(0, 2), "train")).toEqual({ seconds: 0.515, runs: 2 })
  expect(estimateOf(past, "evaluate")).toBeUndefined()
})

const stage = (id: string, needs: readonly string[], decision: PlannedStage["decision"], seconds?: number): PlannedStage => ({
  ...{ id, kind: id, needs, decision, reason: null, key: null },
  ...(seconds === undefined ? {} : { estimate: { seconds, runs: 3 } })
})

test("a plan takes as long as its longest chain; what never ran is named", () => {
  const plan = [
    stage("rows", [], "reuse"),
    stage("left", ["rows"], "run", 7),
    stage("right", ["rows"], "maybe", 9),
    stage("new", ["left"], "run"),
    stage("join", ["left", "right"], "maybe", 1)
  ]
  expect(totalEstimate(plan)).toEqual({ seconds: 10, runs: 3, without: ["new"] })
  expect(totalEstimate([stage("rows", [], "reuse"), stage("new", [], "run")])).toBeUndefined()
})
