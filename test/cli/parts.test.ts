// Small pure parts of the command line: the command that goes on, differences of plain data, tables of scores.
import { expect, test } from "vitest"
import { commandAgain } from "#src/cli/again.ts"
import { differences, flatten } from "#src/cli/difference.ts"
import { comparison, sampledAnswers } from "#src/cli/scores.ts"
import type { Scores } from "#src/domain/Scores.ts"
import { makeTheme } from "#src/report/Theme.ts"

test("the command that goes on keeps what was set and drops what belongs to one attempt", () => {
  expect(commandAgain(["run", "quickstart", "--set", "train.learningRate=1e-4", "--name", "a", "--restart", "train", "--jobs=2"])).toBe(
    "anneal run quickstart --set train.learningRate=1e-4 --jobs=2"
  )
  expect(commandAgain(["run", "p", "--name=x", "--set", "a.b=it's here"])).toBe("anneal run p --set 'a.b=it'\\''s here'")
})

test("leaves by path; empty lists and objects are leaves of their own", () => {
  expect([...flatten({ a: { b: 1, c: [true, null] }, d: [], e: {} })]).toEqual([
    ["a.b", 1],
    ["a.c.0", true],
    ["a.c.1", null],
    ["d", []],
    ["e", {}]
  ])
})

test("only the paths that differ, absent and null being two things", () => {
  const sides = [
    { a: 1, b: null, c: 2 },
    { a: 1, c: "2" }
  ].map((side) => flatten(side))
  expect([...differences(sides)]).toEqual([
    ["b", [null, undefined]],
    ["c", [2, "2"]]
  ])
})

const scores: Scores = {
  metrics: {
    exactMatch: { model: 0.86, baseline: 0.02, better: "higher", difference: { low: 0.75, high: 0.92 } },
    perplexity: { model: 2.5, baseline: 40, better: "lower" },
    tokenAccuracy: { model: null, baseline: 0.5, better: "higher" }
  },
  rows: 64,
  tokens: 900,
  samples: [{ id: "r1", prompt: "date?\nnow", reference: "2026-01-02", baseline: "the the", model: "2026-01-02" }]
}
const theme = makeTheme({ ascii: false, colour: false })

test("the comparison has a row a metric with the change, coloured by whether it is a gain", () => {
  expect(comparison(theme, scores).split("\n")).toEqual([
    "METRIC         BASE  MODEL  CHANGE   95 % INTERVAL",
    "exactMatch     0.02   0.86   +0.84  +0.75 .. +0.92",
    "perplexity       40    2.5   -37.5               -",
    "tokenAccuracy   0.5    NaN       -               -"
  ])
  expect(comparison(makeTheme({ ascii: false, colour: true }), scores).split("\x1b[32m")).toHaveLength(3)
})

test("a sampled answer is one line each, its line breaks folded", () => {
  expect(sampledAnswers(theme, scores, false)).toEqual([
    "",
    "asked   date? now",
    "wanted  2026-01-02",
    "before  the the",
    "after   2026-01-02"
  ])
})
