// What happens to a row of more than maxLength tokens: one named policy, counted, never silent.
import type { EncodedRow } from "#src/text/encode.ts"

/** Tokens of one training row, with its id; a text row that is split gives several. */
export interface Piece extends EncodedRow {
  readonly id: string
}

const cut = (row: EncodedRow, maxLength: number): EncodedRow => ({
  ...row,
  tokens: row.tokens.slice(0, maxLength),
  mask: row.mask.slice(0, maxLength),
  promptLength: Math.min(row.promptLength, maxLength)
})

// A text in pieces that each begin as the text does (with the begin-of-sequence token, where there is one); the last one ends it.
const split = (id: string, row: EncodedRow, maxLength: number): readonly Piece[] => {
  const head = row.tokens.slice(0, row.promptLength)
  const body = row.tokens.slice(row.promptLength)
  const size = maxLength - head.length
  return Array.from({ length: Math.ceil(body.length / size) }, (_, i) => {
    const tokens = [...head, ...body.slice(i * size, (i + 1) * size)]
    return { ...row, id: `${id}.${i + 1}`, tokens, mask: tokens.map((_, t) => (t < head.length ? 0 : 1)) }
  })
}

/** The pieces of a row; none where it is dropped. "error" is the caller's: the row comes back as it is. */
export const applyPolicy = (
  id: string,
  row: EncodedRow,
  maxLength: number,
  policy: "error" | "drop" | "truncate" | "split"
): readonly Piece[] => {
  if (row.tokens.length <= maxLength) return [{ ...row, id }]
  switch (policy) {
    case "error":
      return [{ ...row, id }]
    case "drop":
      return []
    case "truncate":
      return [{ ...cut(row, maxLength), id }]
    case "split":
      return split(id, row, maxLength)
  }
}
