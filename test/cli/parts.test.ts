// Small pure parts of the command line: the command that goes on, differences of plain data, tables of scores.
import { expect, test } from "vitest"
import { commandAgain } from "#src/cli/again.ts"
import { differences, flatten } from "#src/cli/difference.ts"
import { comparison, sampledAnswers } from "#src/cli/scores.ts"
import { verdictsOf } from "#src/cli/verdicts.ts"
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

test("a sampled answer is one line each, its line breaks folded, cut where the terminal ends", () => {
  expect(sampledAnswers(theme, scores, Infinity)).toEqual([
    "",
    "asked   date? now",
    "wanted  2026-01-02",
    "before  the the",
    "after   2026-01-02"
  ])
  expect(sampledAnswers(theme, scores, 15)).toEqual(["", "asked   date...", "wanted  2026...", "before  the the", "after   2026..."])
})

/** Scores whose every row counts 10, or as `whole` says, with the given parts. */
const scored = (name: string, part: readonly (number | null)[], whole: readonly number[] = part.map(() => 10)) => {
  const rows = { ids: part.map((_, i) => `r${i}`), part, whole }
  return new Map([["evaluate", { ...scores, metrics: { [name]: { model: 1, baseline: 1, better: "lower" as const, rows } } }]])
}
const varied = (shift: number): readonly number[] => Array.from({ length: 60 }, (_, i) => 5 + shift + Math.sin(i))

test("a verdict says whether the second run is better by more than the choice of rows explains", () => {
  const verdict = (name: string, a: readonly number[], b: readonly number[]) =>
    verdictsOf(scored(name, a), scored(name, b)).get(`evaluate.${name}`)
  // Rows differ far more from each other than the runs do in each: only pairs can tell.
  const [low, high] = [varied(0), varied(0.3)]
  expect(verdict("perplexity", low, high)).toMatchObject({ verdict: "worse", rows: 60 })
  expect(verdict("perplexity", high, low)).toMatchObject({ verdict: "better" })
  expect(verdict("tokenAccuracy", low, high)).toMatchObject({ verdict: "better" })
  expect(verdict("tokenAccuracy", low, varied(0).toReversed())).toMatchObject({ verdict: "tie" })
  const { low: from, high: to } = verdict("tokenAccuracy", low, high)!
  expect([from, to].map((bound) => Number(bound.toFixed(6)))).toEqual([0.03, 0.03])
})

test("a verdict is over the rows that both scored, and there is none where they were not counted alike", () => {
  const fewer = scored("exactMatch", [1, 0, null, 1, 1], [1, 1, 1, 1, 1])
  expect(verdictsOf(fewer, scored("exactMatch", [1, 1, 1, 1], [1, 1, 1, 1])).get("evaluate.exactMatch")?.rows).toBe(3)
  expect(verdictsOf(scored("perplexity", [3, 4], [2, 2]), scored("perplexity", [3, 4], [2, 3])).size).toBe(0)
  expect(verdictsOf(scored("perplexity", [3]), scored("exactMatch", [1], [1])).size).toBe(0)
  expect(verdictsOf(scored("perplexity", [3]), new Map([["other", scores]])).size).toBe(0)
})
