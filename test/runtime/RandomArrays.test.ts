// What stands where in the arrays of random numbers: by document and position, whatever the batch looks like.
import { expect, test } from "vitest"
import type { Place } from "#src/batching/place.ts"
import { rowSizes } from "#src/batching/rows.ts"
import { RandomArrays } from "#src/runtime/RandomArrays.ts"
import type { RandomInput } from "#src/runtime/regularize.ts"

/** Rows of 4, 3 and 6 tokens; of the last one every second is trained. */
const rows = {
  offsets: Int32Array.of(0, 4, 7, 13),
  tokens: new Int32Array(13),
  mask: Uint8Array.of(0, 1, 1, 1, 0, 0, 1, 0, 1, 0, 1, 0, 1)
}
const sizes = rowSizes(rows)
const width = 64
const beside: readonly Place[] = [
  { row: 0, line: 0, start: 0, from: 0 },
  { row: 1, line: 1, start: 0, from: 0 },
  { row: 2, line: 2, start: 0, from: 0 }
]

/** The numbers after a fill, and the row of them that belongs to a document's position. */
const filled = (
  kind: RandomInput["kind"],
  shape: readonly number[],
  batchSize: number,
  length: number,
  places: readonly Place[],
  step = 3
) => {
  const input = { name: "site", kind, shape, amount: 0.5 }
  const random = new RandomArrays({ seed: 1, rows, sizes, batchSize }, [input])
  random.fill([input], { length, targets: 16 }, places, step)
  const array = random.feeds([input])["site"] as Float32Array
  return (at: number): readonly number[] => Array.from(array.subarray(at * width, (at + 1) * width))
}

test("a document's places have the same numbers beside others, behind others and behind virtual tokens", () => {
  const side = filled("place", [3 * 5, width], 3, 5, beside)
  const packed = filled("place", [12, width], 1, 12, [
    { row: 1, line: 0, start: 0, from: 0 },
    { row: 2, line: 0, start: 2, from: 0 },
    { row: 0, line: 0, start: 7, from: 0 }
  ])
  for (let t = 0; t < 5; t++) expect(packed(2 + t)).toEqual(side(10 + t))
  for (let t = 0; t < 3; t++) expect(packed(7 + t)).toEqual(side(t))
  // Two virtual tokens count as the document's first positions.
  const virtual = filled("place", [3 * 7, width], 3, 5, beside)
  expect([virtual(14), virtual(18)]).toEqual([side(10), side(14)])
  expect(filled("place", [3 * 5, width], 3, 5, beside, 4)(10)).not.toEqual(side(10))
})

test("the places whose loss counts have the numbers of those places", () => {
  const side = filled("place", [3 * 5, width], 3, 5, beside)
  const targets = filled("target", [16, width], 3, 5, beside)
  const places = [0, 1, 2, 6, 10, 12, 14]
  expect(places.map((_, s) => targets(s))).toEqual(places.map(side))
})

test("noise has the size of alpha / sqrt(tokens x width) for the document's own tokens", () => {
  const noise = filled("noise", [3 * 5, width], 3, 5, beside)
  const largest = (from: number, count: number): number =>
    Math.max(
      ...Array.from({ length: count }, (_, t) => noise(from + t))
        .flat()
        .map(Math.abs)
    )
  for (const [from, count, tokens] of [
    [0, 3, 4],
    [5, 2, 3],
    [10, 5, 6]
  ] as const) {
    const bound = 0.5 / Math.sqrt(tokens * width)
    expect(largest(from, count)).toBeLessThanOrEqual(bound)
    expect(largest(from, count)).toBeGreaterThan(0.95 * bound)
  }
})
