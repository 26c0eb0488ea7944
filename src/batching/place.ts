// Where the documents of a batch stand: each in a row of its own, or packed several to a row (best-fit decreasing).
import type { RowSizes } from "./rows.ts"

/** A document's place in a batch: `line` is the row of the batch, `start` its first position there. */
export interface Place {
  /** Number of the document among the training rows. */
  readonly row: number
  readonly line: number
  readonly start: number
}

/** One document a line, in their order. */
export const sideBySide = (members: readonly number[]): readonly Place[] => members.map((row, line) => ({ row, line, start: 0 }))

/** Lines of documents one behind the other. */
export const inLines = ({ lengths }: RowSizes, lines: readonly (readonly number[])[]): readonly Place[] =>
  lines.flatMap((documents, line) => {
    let next = 0
    return documents.map((row) => {
      const start = next
      next += lengths[row] as number
      return { row, line, start }
    })
  })

/**
 * Best-fit decreasing: the longest document first (of equal ones the first in `members`), each into the line where it leaves
 * the least room, or into a new one. The number of lines depends on the lengths alone. Packing the documents of some of the
 * lines again gives no more lines than these: none of the others was the best fit of any of them.
 * @throws RangeError where a document is longer than `capacity`
 */
export const bestFit = (lengths: ArrayLike<number>, members: readonly number[], capacity: number): readonly (readonly number[])[] => {
  const lines: number[][] = []
  // Lines by the room that is left in them.
  const byRoom = Array.from({ length: capacity + 1 }, (): number[][] => [])
  for (const row of members.toSorted((a, b) => (lengths[b] as number) - (lengths[a] as number))) {
    const length = lengths[row] as number
    if (length > capacity) throw new RangeError(`a document of ${length} positions does not fit into a line of ${capacity}`)
    let room = length
    while (room < capacity && byRoom[room]?.length === 0) room++
    let line = byRoom[room]?.pop()
    if (line === undefined) {
      lines.push((line = []))
      room = capacity
    }
    line.push(row)
    byRoom[room - length]?.push(line)
  }
  return lines
}

/** Documents packed into as few lines of `capacity` positions as best-fit decreasing finds. */
export const packed = (sizes: RowSizes, members: readonly number[], capacity: number): readonly Place[] =>
  inLines(sizes, bestFit(sizes.lengths, members, capacity))
