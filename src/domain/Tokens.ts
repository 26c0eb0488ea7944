// What a tokens artifact says of itself: how its prompts were built, so that generation builds them the same way.
import * as Schema from "effect/Schema"
import { RowKind } from "./rows.ts"

/** Everything that turns a row or a user's prompt into the text before the answer, besides the tokenizer itself. */
export const PromptFormat = Schema.Struct({
  template: Schema.Literals(["alpaca", "chatml", "model", "plain"]),
  rowKind: RowKind,
  /** System message put first by chatml and model templates where the row has none; "" = none. */
  systemPrompt: Schema.String,
  /** The instruction shown for classification rows. */
  classInstruction: Schema.String,
  /** The date (YYYY-MM-DD) that a chat_template's strftime_now sees. */
  date: Schema.String
})
export type PromptFormat = typeof PromptFormat.Type

/** `vocabSize` is the base model's; `eosTokenIds` are the ids that end an answer, the trained one first. */
export const TokensMeta = Schema.Struct({
  promptFormat: PromptFormat,
  maxLength: Schema.Int,
  trainOnPrompt: Schema.Boolean,
  vocabSize: Schema.Int,
  eosTokenIds: Schema.Array(Schema.Int),
  bosTokenId: Schema.NullOr(Schema.Int),
  padTokenId: Schema.NullOr(Schema.Int),
  /** "sha256:<hex>" over tokenizer.json, tokenizer_config.json and the chat template. */
  tokenizerDigest: Schema.String
})
export type TokensMeta = typeof TokensMeta.Type
