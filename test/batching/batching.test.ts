// Order of an epoch, static shapes and the arrays of a batch.
import { describe, expect, test } from "vitest"
import { batchNeeds, byLength, emptyBatch, fillBatch } from "#src/batching/batch.ts"
import { trainingOrder } from "#src/batching/order.ts"
import { sideBySide } from "#src/batching/place.ts"
import { rowSizes } from "#src/batching/rows.ts"
import { chooseShapes, shapeOf } from "#src/batching/shapes.ts"

const rows = {
  offsets: Int32Array.of(0, 4, 7, 9, 14),
  tokens: Int32Array.of(5, 6, 7, 8, 1, 2, 3, 9, 9, 4, 5, 6, 7, 8),
  mask: Uint8Array.of(0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0)
}
const sizes = rowSizes(rows)

describe("order", () => {
  const options = { rows: 15, batchSize: 2, gradientAccumulationSteps: 3, epochs: 2, seed: 7 }
  const order = trainingOrder(options)

  test("steps are counted as transformers does: an uneven last group is a step of its own", () => {
    expect([order.stepsPerEpoch, order.totalSteps]).toEqual([3, 6])
    expect(order.group(0).map((batch) => batch.length)).toEqual([2, 2, 2])
    expect(order.group(2).map((batch) => batch.length)).toEqual([2, 1])
    expect(trainingOrder({ ...options, epochs: 0.5 }).totalSteps).toBe(2)
    expect(trainingOrder({ ...options, maxSteps: 40 }).totalSteps).toBe(40)
  })

  test("each epoch reads every row once, in an order of its own", () => {
    const epoch = (e: number) => [0, 1, 2].flatMap((i) => order.group(3 * e + i).flat())
    for (const e of [0, 1, 5]) expect(epoch(e).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 15 }, (_, i) => i))
    expect(epoch(0)).not.toEqual(epoch(1))
  })

  test("a step's rows depend on seed and step alone, not on what was asked before", () => {
    const fresh = trainingOrder(options)
    expect(fresh.group(4)).toEqual(order.group(4))
    expect(trainingOrder({ ...options, seed: 8 }).group(4)).not.toEqual(order.group(4))
  })
})

describe("rows and batches", () => {
  test("a row is read up to its last trained target; its first token is never one", () => {
    expect([...sizes.lengths]).toEqual([3, 1, 0, 3])
    expect([...sizes.targets]).toEqual([2, 1, 0, 2])
  })

  test("rows begin alike up to where one of them, or the token behind, is trained, ends or differs", () => {
    const prefixOf = (...listed: readonly (readonly (readonly [token: number, trained: 0 | 1])[])[]): number =>
      rowSizes({
        offsets: Int32Array.from([0, ...listed.map((_, i) => listed.slice(0, i + 1).flat().length)]),
        tokens: Int32Array.from(listed.flat(), ([token]) => token),
        mask: Uint8Array.from(listed.flat(), ([, trained]) => trained)
      }).commonPrefix
    const [a, b, c, d] = ([5, 6, 7, 8] as const).map((token) => [token, 0] as const) as [[5, 0], [6, 0], [7, 0], [8, 0]]
    const answer = [9, 1] as const
    expect(prefixOf([a, b, c, d, answer], [a, b, d, c, answer])).toBe(2)
    expect(prefixOf([a, b, c, answer], [a, b, d, c, answer])).toBe(2)
    // Behind the second token one row's trained part begins: its last position before that is one of its own.
    expect(prefixOf([a, b, answer], [a, b, c, answer])).toBe(1)
    expect(prefixOf([a, b, c, answer], [a, b, c, answer])).toBe(2)
    expect(prefixOf([a, b, c], [a, b, c, answer])).toBe(0)
    expect(prefixOf([b, a, c, answer], [a, b, c, answer])).toBe(0)
    expect(prefixOf([a, answer, c, answer], [a, b, c, answer])).toBe(0)
    expect(prefixOf([a, b, c, answer])).toBe(0)
    expect(prefixOf()).toBe(0)
  })

  test("ids are right-padded, targets are the next tokens at flat positions", () => {
    const shape = { length: 4, targets: 6 }
    const batch = emptyBatch(3, shape)
    fillBatch(batch, rows, sizes, sideBySide([1, 3]), shape)
    expect(batch.ids).toEqual(BigInt64Array.of(1n, 0n, 0n, 0n, 4n, 5n, 6n, 0n, 0n, 0n, 0n, 0n))
    expect(batch.positions).toEqual(BigInt64Array.of(0n, 4n, 6n, 0n, 0n, 0n))
    expect(batch.targets).toEqual(BigInt64Array.of(2n, 5n, 7n, 0n, 0n, 0n))
    expect(batch.weights).toEqual(Float32Array.of(1, 1, 1, 0, 0, 0))
  })

  test("filling again leaves nothing of the batch before", () => {
    const shape = { length: 4, targets: 6 }
    const [used, fresh] = [emptyBatch(3, shape), emptyBatch(3, shape)]
    fillBatch(used, rows, sizes, sideBySide([3, 0, 1]), shape)
    fillBatch(used, rows, sizes, sideBySide([1]), shape)
    fillBatch(fresh, rows, sizes, sideBySide([1]), shape)
    expect(used).toEqual(fresh)
  })

  test("validation batches hold every row that has targets, longest first", () => {
    expect(byLength(sizes, 2)).toEqual([[0, 3], [1]])
    expect(batchNeeds(sizes, sideBySide([0, 1, 2]))).toEqual({ length: 3, targets: 3 })
  })
})

describe("shapes", () => {
  const batches = [
    ...Array.from({ length: 50 }, () => ({ length: 30, targets: 20 })),
    ...Array.from({ length: 50 }, () => ({ length: 100, targets: 70 })),
    { length: 500, targets: 40 }
  ]

  test("cut points follow where the batches are, lengths and targets in multiples of 16", () => {
    expect(chooseShapes(batches, 4096, 4)).toEqual([
      { length: 32, targets: 32 },
      { length: 112, targets: 80 },
      { length: 512, targets: 48 }
    ])
  })

  test("no batch is padded beyond the model's positions", () => {
    expect(chooseShapes([{ length: 50, targets: 3 }], 50)).toEqual([{ length: 50, targets: 16 }])
    expect(chooseShapes([{ length: 50, targets: 3 }], 60)).toEqual([{ length: 60, targets: 16 }])
    expect(chooseShapes([{ length: 70, targets: 3 }], 60)).toEqual([{ length: 70, targets: 16 }])
  })

  test("every batch finds a shape, and no more shapes are made than allowed", () => {
    const varied = Array.from({ length: 400 }, (_, i) => ({ length: 1 + ((i * 37) % 700), targets: 1 + ((i * 53) % 300) }))
    const shapes = chooseShapes(varied, 4096, 3)
    expect(shapes.length).toBe(3)
    for (const batch of varied) {
      const shape = shapeOf(shapes, batch)
      expect(shape.length >= batch.length && shape.targets >= batch.targets).toBe(true)
    }
  })

  test("a gain of less than 5 % makes no further shape", () => {
    expect(chooseShapes([...Array.from({ length: 99 }, () => ({ length: 64, targets: 1 })), { length: 16, targets: 1 }], 4096, 4)).toEqual([
      { length: 64, targets: 16 }
    ])
  })

  test("a batch that no shape holds is a clear error", () => {
    expect(() => shapeOf([{ length: 16, targets: 16 }], { length: 17, targets: 1 })).toThrow(/no shape holds a batch of length 17/)
  })
})
