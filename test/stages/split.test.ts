// split: counts as scikit-learn's, repetitions together, the same assignment whatever the order of the rows.
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { readRows } from "#src/store/rows.ts"
import { withIds } from "#src/text/rowContent.ts"
import { assign, largestRemainder, parts } from "#stages/split/assign.ts"
import { run } from "#stages/split/run.ts"
import { splitKind } from "#stages/split/stage.ts"
import { hasShared, shared } from "../shared.ts"
import { context, rowsFile, sameBytes } from "./context.ts"

const items = (counts: readonly number[]) =>
  counts.flatMap((count, c) => Array.from({ length: count }, (_, i) => ({ key: `${c}:${i}`, stratum: `class ${c}` })))
const count = (list: readonly string[], value: string) => list.filter((x) => x === value).length

const texts = (n: number) =>
  withIds(
    "text",
    Array.from({ length: n }, (_, i) => ({ text: `text ${i}` }))
  )

describe("assign", () => {
  it("shares out by largest remainder", () => {
    expect(largestRemainder([61, 29, 13], 16)).toEqual([9, 5, 2])
    expect(largestRemainder([1, 1, 1], 2)).toEqual([1, 1, 0])
    expect(largestRemainder([], 0)).toEqual([])
  })

  it("depends on seed and content, not on the order of the rows", () => {
    const rows = items([40, 12])
    const shares = { validation: 0.2, test: 0.1 }
    const one = assign(rows, shares, 1).parts
    expect(assign([...rows].reverse(), shares, 1).parts.toReversed()).toEqual(one)
    expect(assign(rows, shares, 2).parts).not.toEqual(one)
    expect(parts.map((part) => count(one, part))).toEqual([35, 11, 6])
  })

  it("keeps repetitions together", () => {
    const rows = Array.from({ length: 200 }, (_, i) => ({ key: `k${i % 60}`, stratum: "" }))
    for (let seed = 0; seed < 20; seed++) {
      const assigned = assign(rows, { validation: 0.2, test: 0.2 }, seed).parts
      rows.forEach((row, i) => expect(assigned[i]).toBe(assigned[rows.findIndex((r) => r.key === row.key)]))
    }
  })

  it("leaves a class with too few distinct rows in train, and a row of every class", () => {
    const rows = items([30, 2, 3])
    for (let seed = 0; seed < 20; seed++) {
      const { parts: assigned, small } = assign(rows, { validation: 0.4, test: 0.4 }, seed)
      expect(small).toEqual(["class 1"])
      expect(assigned.slice(30, 32)).toEqual(["train", "train"])
      expect(count(assigned.slice(32), "train")).toBeGreaterThan(0)
    }
  })
})

interface Counts {
  readonly cases: readonly {
    readonly class_counts: readonly number[]
    readonly test_size: number
    readonly plain: { readonly train: number; readonly test: number }
    readonly stratified: { readonly test_class_counts_over_20_seeds: readonly [readonly number[]] }
  }[]
}

describe.skipIf(!hasShared)("counts of scikit-learn (needs the shared data)", () => {
  it("plain and stratified", () => {
    const { cases } = JSON.parse(readFileSync(shared("parity/data/split_counts.json"), "utf8")) as Counts
    expect(cases.length).toBe(5)
    for (const { class_counts, test_size, plain, stratified } of cases) {
      const rows = items(class_counts)
      const shares = { validation: 0, test: test_size }
      const one = assign(
        rows.map((row) => ({ ...row, stratum: "" })),
        shares,
        3
      ).parts
      expect([count(one, "train"), count(one, "test")]).toEqual([plain.train, plain.test])
      const two = assign(rows, shares, 3).parts
      const byClass = class_counts.map((_, c) => rows.filter((row, i) => row.stratum === `class ${c}` && two[i] === "test").length)
      expect(byClass).toEqual(stratified.test_class_counts_over_20_seeds[0])
    }
  })
})

describe("the stage", () => {
  it("writes three parts with every row once, in order, the same each time", async () => {
    const rows = texts(50)
    const path = await rowsFile("text", rows)
    const [a, b] = [context(splitKind, {}, { rows: path }), context(splitKind, {}, { rows: path })]
    expect(await run(a)).toMatchObject({ rows: { train: 40, validation: 5, test: 5 }, summary: "train 40, validation 5, test 5" })
    await run(b)
    const tables = await Promise.all(parts.map((part) => readRows(a.output(part))))
    expect(tables.flatMap((table) => table.rows.map((row) => row.id)).sort()).toEqual(rows.map((row) => row.id).sort())
    const positions = tables.map((table) => table.rows.map((row) => rows.findIndex((r) => r.id === row.id)))
    for (const list of positions) expect(list).toEqual([...list].sort((x, y) => x - y))
    for (const part of parts) expect(sameBytes(a.output(part), b.output(part))).toBe(true)
  })

  it("classification keeps the shares of labels and warns of a label with too few rows", async () => {
    const contents = Array.from({ length: 41 }, (_, i) => ({ text: `t${i}`, label: i === 40 ? "rare" : i % 4 ? "a" : "b" }))
    const c = context(
      splitKind,
      { validation: 0.2, test: 0.2 },
      { rows: await rowsFile("classification", withIds("classification", contents)) }
    )
    expect((await run(c)).summary).toMatch(/shares of label kept$/)
    expect(c.logs("warning")).toEqual(['too few distinct rows to stand in every part, so all of them are in train: label "rare"'])
  })

  it("refuses a part that would be empty and a field that is none", async () => {
    const same = await rowsFile("text", withIds("text", [{ text: "a" }, { text: "a" }, { text: "a" }]))
    await expect(run(context(splitKind, {}, { rows: same }))).rejects.toMatchObject({
      _tag: "DataError",
      message: "the validation part would be empty",
      why: "3 rows, 1 of them distinct, are too few for these shares"
    })
    await expect(run(context(splitKind, { stratifyBy: "label" }, { rows: same }))).rejects.toMatchObject({
      message: 'stratifyBy "label" is no field of text rows'
    })
  })

  it("a share of 0 gives an empty part", async () => {
    const c = context(splitKind, { validation: 0, test: 0 }, { rows: await rowsFile("text", texts(3)) })
    expect((await run(c)).rows).toEqual({ train: 3, validation: 0, test: 0 })
  })
})
