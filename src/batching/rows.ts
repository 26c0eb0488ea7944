// Token rows as flat arrays, seen as the training problem they are: inputs, and the positions that are trained.

/** Row i has the tokens [offsets[i], offsets[i + 1]); `mask` is 1 where that token is a trained target. */
export interface TokenRows {
  readonly offsets: Int32Array
  readonly tokens: Int32Array
  readonly mask: Uint8Array
}

/** Per row: positions that the model must read, and how many of them predict a trained token. */
export interface RowSizes {
  readonly lengths: Int32Array
  readonly targets: Int32Array
  /**
   * Tokens that all rows begin with, such as a system prompt, none of which, nor the one behind them, is a trained target: what a
   * model computes for these positions is the same in every row. 0 for a single row, and where one has no target.
   */
  readonly commonPrefix: number
}

export const rowCount = (rows: TokenRows): number => rows.offsets.length - 1

/**
 * Position t predicts token t + 1, so a row needs its tokens only up to the one before its last trained target: what
 * comes later changes no loss. A row's first token is never a target. A row without targets has length 0.
 */
export const rowSizes = (rows: TokenRows): RowSizes => {
  const n = rowCount(rows)
  const lengths = new Int32Array(n)
  const targets = new Int32Array(n)
  for (let row = 0; row < n; row++) {
    const start = rows.offsets[row] as number
    const end = rows.offsets[row + 1] as number
    for (let i = start + 1; i < end; i++) {
      if (rows.mask[i] !== 1) continue
      lengths[row] = i - start
      targets[row] = (targets[row] as number) + 1
    }
  }
  return { lengths, targets, commonPrefix: commonPrefix(rows, lengths) }
}

const commonPrefix = ({ offsets, tokens, mask }: TokenRows, lengths: Int32Array): number => {
  if (lengths.length < 2) return 0
  const first = offsets[0] as number
  const isCommon = (t: number): boolean =>
    lengths.every((length, row) => {
      const start = offsets[row] as number
      return t < length && tokens[start + t] === tokens[first + t] && mask[start + t + 1] !== 1
    })
  let length = 0
  while (isCommon(length)) length++
  return length
}

/** The rows `keep`, in that order. */
export const pickRows = (rows: TokenRows, keep: readonly number[]): TokenRows => {
  const spans = keep.map((row) => [rows.offsets[row] as number, rows.offsets[row + 1] as number] as const)
  const offsets = new Int32Array(keep.length + 1)
  spans.forEach(([start, end], i) => (offsets[i + 1] = (offsets[i] as number) + end - start))
  const tokens = new Int32Array(offsets.at(-1) as number)
  const mask = new Uint8Array(tokens.length)
  spans.forEach(([start, end], i) => {
    tokens.set(rows.tokens.subarray(start, end), offsets[i])
    mask.set(rows.mask.subarray(start, end), offsets[i])
  })
  return { offsets, tokens, mask }
}
