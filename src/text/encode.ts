// Segments as token ids. Each segment is tokenized by itself, so that no token spans the border of prompt and answer.
import { DataError } from "#src/domain/Errors.ts"
import type { ChatMessage, Row } from "#src/domain/rows.ts"
import { answerOf, type PromptFields, type PromptOptions, renderPrompt, renderTraining } from "./prompt.ts"
import { renderChat } from "./renderChat.ts"
import type { Segment } from "./Segment.ts"
import type { Tokenizer } from "./Tokenizer.ts"

/** One row's tokens; mask is 1 where the token is the model's to say. `promptLength` counts the tokens before the (last) answer. */
export interface EncodedRow {
  readonly tokens: readonly number[]
  readonly mask: readonly (0 | 1)[]
  readonly promptLength: number
  readonly reference: string
}

const encodeSegments = (segments: readonly Segment[], tokenizer: Tokenizer): Omit<EncodedRow, "reference"> => {
  const tokens: number[] = []
  const mask: (0 | 1)[] = []
  let promptLength = 0
  const push = (ids: readonly number[], trained: 0 | 1) => {
    for (const id of ids) {
      tokens.push(id)
      mask.push(trained)
    }
  }
  for (const [i, { text, trained, eos }] of segments.entries()) {
    const ids = tokenizer.encode(text)
    // Exactly one begin-of-sequence token: a chat template may have written it already.
    if (i === 0 && tokenizer.bosTokenId !== null && ids[0] !== tokenizer.bosTokenId) push([tokenizer.bosTokenId], 0)
    if (trained) promptLength = tokens.length
    push(ids, trained ? 1 : 0)
    if (eos) push([endToken(tokenizer)], 1)
  }
  return { tokens, mask, promptLength }
}

/** @throws DataError where the tokenizer names no end-of-sequence token */
const endToken = (tokenizer: Tokenizer): number => {
  if (tokenizer.eosTokenId !== null) return tokenizer.eosTokenId
  throw new DataError({
    message: "the tokenizer names no end-of-sequence token, so an answer could never end",
    where: tokenizer.folder,
    hint: 'set "eos_token" in tokenizer_config.json'
  })
}

/** Ids of a whole row, with its loss mask. Empty where the row trains nothing. */
export const encodeTraining = (row: Row, options: PromptOptions): EncodedRow => ({
  ...encodeSegments(renderTraining(row, options), options.tokenizer),
  reference: answerOf(row)
})

/** Ids of a prompt, up to where the answer begins: a prefix of the same row's training ids. */
export const encodePrompt = (fields: PromptFields, options: PromptOptions): readonly number[] =>
  encodeSegments(renderPrompt(fields, options), options.tokenizer).tokens

const probe: readonly ChatMessage[] = [
  { role: "user", content: "a" },
  { role: "assistant", content: "b" }
]

/** Ids that end an answer: the trained one first (found by rendering one), then the base's other end-of-sequence ids. */
export const endTokenIds = ({ template, tokenizer }: PromptOptions, eosTokenIds: readonly number[]): readonly number[] => {
  const trained =
    template === undefined
      ? endToken(tokenizer)
      : (encodeSegments(renderChat(probe, template, tokenizer), tokenizer).tokens.at(-1) as number)
  return [...new Set([trained, ...eosTokenIds])]
}
