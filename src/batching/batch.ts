// The arrays that a training graph reads, filled from rows: right-padded ids and the flat positions whose loss counts.
import type { Place } from "./place.ts"
import type { RowSizes, TokenRows } from "./rows.ts"
import type { BatchShape } from "./shapes.ts"

/** B rows of T positions, S of which are trained; padding has id 0 and weight 0 and so changes no loss and no gradient. */
export interface Batch {
  /** [B, T] */
  readonly ids: BigInt64Array
  /** [S] flat positions b * T + t */
  readonly positions: BigInt64Array
  /** [S] the token that each of them predicts */
  readonly targets: BigInt64Array
  /** [S] 1 = counts, 0 = padding */
  readonly weights: Float32Array
  /** [B, T]: each place's position within its document; padding has 0 */
  readonly within: BigInt64Array
  /** [B, T]: the number of its document in the batch, a common prefix that of the line's first; padding has -1 */
  readonly segments: BigInt64Array
}

export const emptyBatch = (rows: number, shape: BatchShape): Batch => ({
  ids: new BigInt64Array(rows * shape.length),
  positions: new BigInt64Array(shape.targets),
  targets: new BigInt64Array(shape.targets),
  weights: new Float32Array(shape.targets),
  within: new BigInt64Array(rows * shape.length),
  segments: new BigInt64Array(rows * shape.length)
})

/** What the documents need where they are placed. */
export const batchNeeds = (sizes: RowSizes, places: readonly Place[]): BatchShape => ({
  length: places.reduce((most, { row, start, from }) => Math.max(most, start + (sizes.lengths[row] as number) - from), 0),
  targets: places.reduce((sum, { row }) => sum + (sizes.targets[row] as number), 0)
})

/** Fills `batch` (made for `shape`) with the documents, in the order of their places. */
export const fillBatch = (batch: Batch, rows: TokenRows, sizes: RowSizes, places: readonly Place[], shape: BatchShape): void => {
  for (const array of [batch.ids, batch.positions, batch.targets, batch.within]) array.fill(0n)
  batch.weights.fill(0)
  batch.segments.fill(-1n)
  let s = 0
  places.forEach(({ row, line, start, from }, document) => {
    const first = rows.offsets[row] as number
    for (let t = from; t < (sizes.lengths[row] as number); t++) {
      const place = line * shape.length + start + t - from
      batch.ids[place] = BigInt(rows.tokens[first + t] as number)
      batch.within[place] = BigInt(t)
      batch.segments[place] = BigInt(document)
      if (rows.mask[first + t + 1] !== 1) continue
      batch.positions[s] = BigInt(place)
      batch.targets[s] = BigInt(rows.tokens[first + t + 1] as number)
      batch.weights[s++] = 1
    }
  })
}

/** Rows that have targets, longest first so that rows of like length lie beside each other: the batches of a validation pass. */
export const byLength = (sizes: RowSizes, rowsPerBatch: number): readonly (readonly number[])[] => {
  const length = (row: number): number => sizes.lengths[row] as number
  const used = [...sizes.lengths.keys()].filter((row) => length(row) > 0).sort((a, b) => length(b) - length(a) || a - b)
  return Array.from({ length: Math.ceil(used.length / rowsPerBatch) }, (_, i) => used.slice(i * rowsPerBatch, (i + 1) * rowsPerBatch))
}
