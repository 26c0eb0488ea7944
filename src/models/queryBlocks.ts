// Attention in blocks of queries, each with the keys that it can see and no others: half of all pairs are hidden by causality, and with a
// sliding window most of them. What is left out would have had a weight of exactly 0.

/** Queries [start, end) and keys [from, to), places in front of the tokens counted. */
export interface QueryBlock {
  readonly start: number
  readonly end: number
  readonly from: number
  readonly to: number
}

/** Queries of a block, at least: smaller products are slower than what they save. */
const blockLength = 128
/** Each block adds nodes to every layer. */
const mostBlocks = 8

/** Blocks of `length` queries behind `before` places that all of them may look back on. `window`: how far a query sees, itself counted. */
export const queryBlocks = (length: number, before: number, window: number | null): readonly QueryBlock[] => {
  const count = Math.max(1, Math.min(mostBlocks, Math.floor(length / blockLength)))
  const border = (i: number): number => Math.ceil((i * length) / count)
  return Array.from({ length: count }, (_, i) => {
    const [start, end] = [border(i), border(i + 1)]
    const from = window === null || before > 0 ? 0 : Math.max(0, start - window + 1)
    return { start, end, from, to: before + end }
  })
}
