// The figures that rows are scored with. Each is a function of one ratio of sums over rows, so that a figure of any subset or
// resample of the rows follows from its parts.
import { bitsPerByte, perplexity } from "./perplexity.ts"

export interface Figure {
  readonly better: "lower" | "higher"
  /** The figure of rows with these sums: `part` is what was counted (nats, hits), `whole` what it is counted over (tokens, rows). */
  readonly of: (part: number, whole: number) => number
}

const share: Figure = { better: "higher", of: (part, whole) => part / whole }

export const figures = {
  /** part: negative log-likelihood in nats; whole: trained tokens. */
  perplexity: { better: "lower", of: perplexity },
  /** part: nats; whole: bytes of the text that was predicted. */
  bitsPerByte: { better: "lower", of: bitsPerByte },
  /** part: tokens that the model held most likely; whole: trained tokens. */
  tokenAccuracy: share,
  /** part: answers that match; whole: rows. */
  exactMatch: share
} as const satisfies Record<string, Figure>
export type FigureName = keyof typeof figures

/** Per row, index by index: parts of the model and of what it is compared with, and the whole they share. */
export interface PairedParts {
  readonly model: ArrayLike<number>
  readonly baseline: ArrayLike<number>
  readonly whole: ArrayLike<number>
}

export const sum = (values: ArrayLike<number>): number => {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i] as number
  return total
}
