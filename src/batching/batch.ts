// The arrays that a training graph reads, filled from rows: right-padded ids and the flat positions whose loss counts.
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
}

export const emptyBatch = (rows: number, shape: BatchShape): Batch => ({
  ids: new BigInt64Array(rows * shape.length),
  positions: new BigInt64Array(shape.targets),
  targets: new BigInt64Array(shape.targets),
  weights: new Float32Array(shape.targets)
})

/** What the rows `members` need beside each other. */
export const batchNeeds = (sizes: RowSizes, members: readonly number[]): BatchShape => ({
  length: members.reduce((most, row) => Math.max(most, sizes.lengths[row] as number), 0),
  targets: members.reduce((sum, row) => sum + (sizes.targets[row] as number), 0)
})

/** Fills `batch` (made for `shape`) with the rows `members`, in their order. */
export const fillBatch = (batch: Batch, rows: TokenRows, sizes: RowSizes, members: readonly number[], shape: BatchShape): void => {
  for (const array of [batch.ids, batch.positions, batch.targets]) array.fill(0n)
  batch.weights.fill(0)
  let s = 0
  members.forEach((row, b) => {
    const start = rows.offsets[row] as number
    for (let t = 0; t < (sizes.lengths[row] as number); t++) {
      batch.ids[b * shape.length + t] = BigInt(rows.tokens[start + t] as number)
      if (rows.mask[start + t + 1] !== 1) continue
      batch.positions[s] = BigInt(b * shape.length + t)
      batch.targets[s] = BigInt(rows.tokens[start + t + 1] as number)
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
