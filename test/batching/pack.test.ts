// Packing and grouping by length: every document once an epoch, as many rows in each, places that do not overlap.
import { describe, expect, test } from "vitest"
import { groupedByLength, packedRows } from "#src/batching/arrange.ts"
import { batchNeeds, emptyBatch, fillBatch } from "#src/batching/batch.ts"
import { trainingOrder } from "#src/batching/order.ts"
import { bestFit, inLines, packed } from "#src/batching/place.ts"
import { rowSizes } from "#src/batching/rows.ts"
import { uniform } from "#src/domain/random.ts"

const drawn = (n: number, most: number, seed: number): Int32Array =>
  Int32Array.from({ length: n }, (_, i) => 1 + Math.floor(uniform(seed, 0, i) * most))
const all = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)
const sorted = (values: readonly number[]): readonly number[] => values.toSorted((a, b) => a - b)
const sizesOf = (lengths: Int32Array, commonPrefix = 0) => ({ lengths, targets: lengths, commonPrefix })

describe("best-fit decreasing", () => {
  test("each document goes where it leaves the least room", () => {
    expect(bestFit([5, 12, 9, 20, 3, 16, 7, 11, 2, 14], all(10), 24)).toEqual([
      [3, 4],
      [5, 6],
      [9, 2],
      [1, 7],
      [0, 8]
    ])
  })

  test("no line is too full, every document is there once, and no two lines would fit into one", () => {
    for (let seed = 0; seed < 50; seed++) {
      const lengths = drawn(1 + 5 * seed, 60, seed)
      const lines = bestFit(lengths, all(lengths.length), 64)
      const sums = lines.map((line) => line.reduce((sum, row) => sum + (lengths[row] as number), 0))
      expect(Math.max(...sums)).toBeLessThanOrEqual(64)
      expect(sorted(lines.flat())).toEqual(all(lengths.length))
      const [a = 64, b = 64] = sorted(sums)
      if (lines.length > 1) expect(a + b).toBeGreaterThan(64)
    }
  })

  test("the documents of some lines, in any order, take no more lines when they are packed again", () => {
    for (let seed = 0; seed < 200; seed++) {
      const lengths = drawn(60, 10 + (seed % 50), seed)
      const lines = bestFit(lengths, all(60), 64)
      const some = lines.filter((_, i) => uniform(seed, 1, i) < 0.4)
      const members = some.flat().toSorted((a, b) => uniform(seed, 2, a) - uniform(seed, 2, b))
      expect(bestFit(lengths, members, 64).length).toBe(some.length)
    }
  })

  test("behind a common prefix, which takes room once a line, as without it in lines that much shorter", () => {
    for (let seed = 0; seed < 50; seed++) {
      const lengths = drawn(60, 40, seed)
      const behind = lengths.map((length) => length + 23)
      expect(bestFit(behind, all(60), 64 + 23, 23)).toEqual(bestFit(lengths, all(60), 64))
    }
    expect(() => bestFit([30, 90], [0, 1], 64, 23)).toThrow(/of 90 positions does not fit into a line of 64/)
  })

  test("lines that could hold more than there is", () => {
    expect(bestFit([5, 12, 9], all(3), 2 ** 40)).toEqual([[1, 2, 0]])
    expect(bestFit([5, 12, 9], all(3), 26)).toEqual([[1, 2, 0]])
  })

  test("a document that fits no line is an error", () => {
    expect(() => bestFit([3, 9], [0, 1], 8)).toThrow(/of 9 positions does not fit into a line of 8/)
  })
})

test("packed documents stand one behind the other with positions and numbers of their own", () => {
  // Row 0: tokens 5 6 7 8, row 1: 1 2 3, row 2: 4 9; all but each first token are trained.
  const rows = {
    offsets: Int32Array.of(0, 4, 7, 9),
    tokens: Int32Array.of(5, 6, 7, 8, 1, 2, 3, 4, 9),
    mask: Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1, 1)
  }
  const sizes = { lengths: Int32Array.of(3, 2, 1), targets: Int32Array.of(3, 2, 1), commonPrefix: 0 }
  const shape = { length: 5, targets: 6 }
  const batch = emptyBatch(2, shape)
  fillBatch(batch, rows, sizes, packed(sizes, [2, 1, 0], { length: 5, commonPrefix: 0 }), shape)
  expect([...batch.ids].map(Number)).toEqual([5, 6, 7, 1, 2, 4, 0, 0, 0, 0])
  expect([...batch.within].map(Number)).toEqual([0, 1, 2, 0, 1, 0, 0, 0, 0, 0])
  expect([...batch.segments].map(Number)).toEqual([0, 0, 0, 1, 1, 2, -1, -1, -1, -1])
  // The last place of a document never predicts the first token of the next.
  expect([...batch.positions].map(Number)).toEqual([0, 1, 2, 3, 4, 5])
  expect([...batch.targets].map(Number)).toEqual([6, 7, 8, 2, 3, 9])
})

test("documents that begin alike stand behind one copy of it", () => {
  // All begin with 5 6; the token behind is trained in none of them.
  const rows = {
    offsets: Int32Array.of(0, 5, 9, 14),
    tokens: Int32Array.of(5, 6, 1, 2, 3, 5, 6, 4, 7, 5, 6, 8, 9, 3),
    mask: Uint8Array.of(0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0)
  }
  const sizes = rowSizes(rows)
  expect(sizes.commonPrefix).toBe(2)
  const places = packed(sizes, [2, 1, 0], { length: 5, commonPrefix: 2 })
  expect(places).toEqual([
    { row: 0, line: 0, start: 0, from: 0 },
    { row: 2, line: 0, start: 4, from: 2 },
    { row: 1, line: 1, start: 0, from: 0 }
  ])
  expect(batchNeeds(sizes, places)).toEqual({ length: 5, targets: 4 })
  const shape = { length: 5, targets: 4 }
  const batch = emptyBatch(2, shape)
  fillBatch(batch, rows, sizes, places, shape)
  expect([...batch.ids].map(Number)).toEqual([5, 6, 1, 2, 8, 5, 6, 4, 0, 0])
  expect([...batch.within].map(Number)).toEqual([0, 1, 2, 3, 2, 0, 1, 2, 0, 0])
  expect([...batch.segments].map(Number)).toEqual([0, 0, 0, 0, 1, 2, 2, 2, -1, -1])
  expect([...batch.positions].map(Number)).toEqual([2, 3, 4, 7])
  expect([...batch.targets].map(Number)).toEqual([2, 3, 9, 7])
})

describe("order of packed rows", () => {
  const lengths = drawn(200, 60, 3)
  const layout = { length: 64, commonPrefix: 0 }
  const order = trainingOrder({
    rows: 200,
    batchSize: 4,
    gradientAccumulationSteps: 3,
    epochs: 3,
    seed: 7,
    arrangement: packedRows(lengths, layout, 7)
  })

  test("each epoch reads every document once, in the steps that were counted up front", () => {
    const epochs = all(3).map((e) => all(order.stepsPerEpoch).flatMap((i) => order.group(e * order.stepsPerEpoch + i)))
    for (const epoch of epochs) {
      expect(sorted(epoch.flat())).toEqual(all(200))
      for (const members of epoch) {
        const lines = packed(sizesOf(lengths), members, layout).map(({ line }) => line)
        expect(Math.max(...lines)).toBeLessThan(4)
      }
    }
    expect(epochs[0]).not.toEqual(epochs[1])
    expect(order.stepsPerEpoch).toBe(Math.ceil(bestFit(lengths, all(200), 64).length / 12))
    expect(order.totalSteps).toBe(3 * order.stepsPerEpoch)
  })

  test("a step's documents depend on seed and step alone", () => {
    const fresh = trainingOrder({
      rows: 200,
      batchSize: 4,
      gradientAccumulationSteps: 3,
      epochs: 3,
      seed: 7,
      arrangement: packedRows(lengths, layout, 7)
    })
    expect(fresh.group(11)).toEqual(order.group(11))
  })
})

describe("grouped by length", () => {
  const lengths = drawn(1000, 500, 5)
  const { rows, epoch } = groupedByLength(lengths, 8, 1)

  test("every row once an epoch, the longest first, in stretches sorted by length", () => {
    const [first, second] = [epoch(0).flat(), epoch(1).flat()]
    expect(rows).toBe(1000)
    expect(sorted(first)).toEqual(all(1000))
    expect(first).not.toEqual(second)
    expect(lengths[first[0] as number]).toBe(Math.max(...lengths))
    // 1000 rows make stretches of min(50, 1000 / 32) = 31 steps of 8 rows; the first's head was swapped.
    for (let at = 249; at < 1000; at += 248)
      for (let i = at; i < Math.min(at + 246, 999); i++)
        expect(lengths[first[i] as number]).toBeGreaterThanOrEqual(lengths[first[i + 1] as number] as number)
  })

  test("batches of eight need much less padding than shuffled ones", () => {
    const padded = (order: readonly number[]): number =>
      all(125).reduce((sum, i) => sum + 8 * Math.max(...order.slice(8 * i, 8 * i + 8).map((row) => lengths[row] as number)), 0)
    expect(padded(epoch(0).flat())).toBeLessThan(0.65 * padded(all(1000)))
  })

  test("fewer rows than a step still make one stretch", () => {
    expect(
      sorted(
        groupedByLength(drawn(3, 9, 1), 8, 1)
          .epoch(0)
          .flat()
      )
    ).toEqual([0, 1, 2])
  })
})

test("lines are filled from their start", () => {
  expect(inLines(sizesOf(Int32Array.of(3, 2, 4)), [[1, 0], [2]])).toEqual([
    { row: 1, line: 0, start: 0, from: 0 },
    { row: 0, line: 0, start: 2, from: 0 },
    { row: 2, line: 1, start: 0, from: 0 }
  ])
})
