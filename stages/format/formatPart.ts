// One part's rows as tokens: encoding, the policy for overlong rows, the loss mask, and counts of everything that was left out.
import { setImmediate } from "node:timers/promises"
import { DataError } from "#src/domain/Errors.ts"
import type { Row } from "#src/domain/rows.ts"
import type { TokensMeta } from "#src/domain/Tokens.ts"
import type { TokensTable } from "#src/store/tokens.ts"
import { encodeTraining, type EncodedRow } from "#src/text/encode.ts"
import type { PromptOptions } from "#src/text/prompt.ts"
import { applyPolicy, type Piece } from "./overlong.ts"
import type { FormatConfig } from "./stage.ts"

export interface FormattedPart {
  readonly table: TokensTable
  /** Rows over maxLength, with their lengths, in order. */
  readonly overlong: readonly { readonly id: string; readonly tokens: number }[]
  /** Ids of rows that were left out because none of their tokens is trained. */
  readonly untrained: readonly string[]
  readonly trainedTokens: number
}

/** Rows between two reports of progress, at which the process also gets to hear signals. */
const reportEvery = 500

/** @throws DataError naming the row that the template or the tokenizer cannot take */
export const formatPart = async (
  part: string,
  rows: readonly Row[],
  options: PromptOptions,
  config: FormatConfig,
  meta: TokensMeta,
  progress: (done: number) => void
): Promise<FormattedPart> => {
  const pieces: Piece[] = []
  const overlong: { id: string; tokens: number }[] = []
  const untrained: string[] = []
  let trainedTokens = 0
  for (const [i, row] of rows.entries()) {
    const encoded = masked(encode(part, row, options), config.trainOnPrompt)
    if (encoded.tokens.length > config.maxLength) overlong.push({ id: row.id, tokens: encoded.tokens.length })
    for (const piece of applyPolicy(row.id, encoded, config.maxLength, config.onOverlong)) {
      const trained = piece.mask.reduce<number>((sum, bit) => sum + bit, 0)
      if (trained === 0) untrained.push(row.id)
      else pieces.push(piece)
      trainedTokens += trained
    }
    if ((i + 1) % reportEvery === 0) {
      progress(i + 1)
      await setImmediate()
    }
  }
  return { table: tableOf(pieces, meta), overlong, untrained, trainedTokens }
}

const encode = (part: string, row: Row, options: PromptOptions): EncodedRow => {
  try {
    return encodeTraining(row, options)
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause
    const { message, why, hint } = cause
    throw new DataError({
      message,
      where: `${part} row ${row.id}`,
      ...(why === undefined ? {} : { why }),
      ...(hint === undefined ? {} : { hint })
    })
  }
}

// Nothing predicts the first token, so it is never a target.
const masked = (row: EncodedRow, trainOnPrompt: boolean): EncodedRow => ({
  ...row,
  mask: row.mask.map((bit, i) => (i === 0 ? 0 : trainOnPrompt ? 1 : bit))
})

const tableOf = (pieces: readonly Piece[], meta: TokensMeta): TokensTable => {
  const offsets = new Int32Array(pieces.length + 1)
  pieces.forEach((piece, i) => (offsets[i + 1] = (offsets[i] as number) + piece.tokens.length))
  const tokens = new Int32Array(offsets[pieces.length] as number)
  const mask = new Uint8Array(tokens.length)
  pieces.forEach((piece, i) => {
    tokens.set(piece.tokens, offsets[i])
    mask.set(piece.mask, offsets[i])
  })
  return {
    meta,
    ids: pieces.map((piece) => piece.id),
    offsets,
    tokens,
    mask,
    promptLength: Int32Array.from(pieces, (piece) => piece.promptLength),
    reference: pieces.map((piece) => piece.reference)
  }
}
