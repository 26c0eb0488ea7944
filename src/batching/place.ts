// Where the documents of a batch stand: each in a row of its own, or packed several to a row (best-fit decreasing). What all documents
// begin with, a system prompt or the first lines of a template, then stands in each row once: behind it they are computed side by side.
import type { RowSizes } from "./rows.ts"

/** Rows that hold several documents. */
export interface RowLayout {
  /** Places of a row. */
  readonly length: number
  /** So many tokens at the start of each row belong to all of its documents: every document begins with them. */
  readonly commonPrefix: number
}

/** A document's place in a batch: `line` is the row of the batch, `start` the place there of its token `from`. */
export interface Place {
  /** Number of the document among the training rows. */
  readonly row: number
  readonly line: number
  readonly start: number
  /** Its earlier tokens are those at the start of the line. */
  readonly from: number
}

/** One document a line, in their order. */
export const sideBySide = (members: readonly number[]): readonly Place[] => members.map((row, line) => ({ row, line, start: 0, from: 0 }))

/** Lines of documents one behind the other, the first of each with the common prefix. */
export const inLines = ({ lengths }: RowSizes, lines: readonly (readonly number[])[], commonPrefix = 0): readonly Place[] =>
  lines.flatMap((documents, line) => {
    let next = 0
    return documents.map((row, i) => {
      const from = i === 0 ? 0 : commonPrefix
      const start = next
      next += (lengths[row] as number) - from
      return { row, line, start, from }
    })
  })

/**
 * Best-fit decreasing: the longest document first (of equal ones the first in `members`), each into the line where it leaves
 * the least room, or into a new one. The first `commonPrefix` positions of all documents take room once a line. The number of
 * lines depends on the lengths alone. Packing the documents of some of the lines again gives no more lines than these: none of
 * the others was the best fit of any of them.
 * @throws RangeError where a document is longer than `capacity`
 */
export const bestFit = (
  lengths: ArrayLike<number>,
  members: readonly number[],
  capacity: number,
  commonPrefix = 0
): readonly (readonly number[])[] => {
  const lines: number[][] = []
  const roomFor = (row: number): number => (lengths[row] as number) - commonPrefix
  // No line is longer than all documents together, whatever it could hold.
  const roomOfLine = Math.min(
    capacity - commonPrefix,
    members.reduce((sum, row) => sum + roomFor(row), 0)
  )
  // Lines by the room that is left in them.
  const byRoom = Array.from({ length: roomOfLine + 1 }, (): number[][] => [])
  for (const row of members.toSorted((a, b) => (lengths[b] as number) - (lengths[a] as number))) {
    const length = roomFor(row)
    if (length > capacity - commonPrefix)
      throw new RangeError(`a document of ${lengths[row]} positions does not fit into a line of ${capacity}`)
    let room = length
    while (room < roomOfLine && byRoom[room]?.length === 0) room++
    let line = byRoom[room]?.pop()
    if (line === undefined) {
      lines.push((line = []))
      room = roomOfLine
    }
    line.push(row)
    byRoom[room - length]?.push(line)
  }
  return lines
}

/** Documents packed into as few lines as best-fit decreasing finds. */
export const packed = (sizes: RowSizes, members: readonly number[], { length, commonPrefix }: RowLayout): readonly Place[] =>
  inLines(sizes, bestFit(sizes.lengths, members, length, commonPrefix), commonPrefix)
