// How the documents of an epoch are arranged into rows: shuffled, grouped by length, or packed. Each is a pure function of the
// epoch, and has the same number of rows in every epoch, so that a run's steps can be counted before the first one.
import { hash32, permutation } from "#src/domain/random.ts"
import { bestFit, type RowLayout } from "./place.ts"

export interface Arrangement {
  /** Rows of an epoch. */
  readonly rows: number
  /** The rows of an epoch in the order in which they are read, each the documents that stand in it; every document once. */
  readonly epoch: (epoch: number) => readonly (readonly number[])[]
}

const shuffledOnce = (documents: number, seed: number, epoch: number): readonly number[] =>
  Array.from(permutation(hash32(seed, "order"), epoch, documents))

/** One document a row, in random order. */
export const shuffled = (documents: number, seed: number): Arrangement => ({
  rows: documents,
  epoch: (epoch) => shuffledOnce(documents, seed, epoch).map((row) => [row])
})

/**
 * One document a row, those of like length near each other: the shuffled documents are cut into stretches of up to 50 steps and
 * each is sorted, longest first; the longest of all comes first, so that memory runs out at once if it does. Transformers'
 * get_length_grouped_indices. `perStep`: rows of one optimizer step.
 */
export const groupedByLength = (lengths: ArrayLike<number>, perStep: number, seed: number): Arrangement => {
  const stretch = perStep * Math.max(1, Math.min(50, Math.floor(lengths.length / (perStep * 4))))
  const length = (row: number): number => lengths[row] as number
  return {
    rows: lengths.length,
    epoch: (epoch) => {
      const order = shuffledOnce(lengths.length, seed, epoch)
      const stretches = Array.from({ length: Math.ceil(order.length / stretch) }, (_, i) =>
        order.slice(i * stretch, (i + 1) * stretch).toSorted((a, b) => length(b) - length(a))
      )
      const longest = stretches.reduce((best, { 0: head }, i) => (length(head!) > length(stretches[best]![0]!) ? i : best), 0)
      const rows = stretches.flat()
      const [first, other] = [rows[0]!, rows[longest * stretch]!]
      rows[0] = other
      rows[longest * stretch] = first
      return rows.map((row) => [row])
    }
  }
}

/**
 * Several documents a row: all of the epoch's are packed together, those of equal length in an order that the epoch draws
 * anew, and the rows are shuffled. @throws RangeError where a document is longer than a row
 */
export const packedRows = (lengths: ArrayLike<number>, { length, commonPrefix }: RowLayout, seed: number): Arrangement => {
  const pack = (epoch: number) => bestFit(lengths, shuffledOnce(lengths.length, seed, epoch), length, commonPrefix)
  return {
    rows: pack(0).length,
    epoch: (epoch) => {
      const rows = pack(epoch)
      return Array.from(permutation(hash32(seed, "packed"), epoch, rows.length), (i) => rows[i]!)
    }
  }
}
