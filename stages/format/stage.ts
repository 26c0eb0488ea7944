// format: rows -> token ids with a loss mask, through a prompt template and the base model's tokenizer.
import * as Schema from "effect/Schema"
import { field, required } from "#src/domain/config.ts"
import { stageKind } from "#src/engine/define.ts"

export const FormatConfig = Schema.Struct({
  template: field(
    Schema.Literals(["alpaca", "chatml", "model", "plain"]),
    "alpaca",
    "prompt template: alpaca, chatml, the model's own chat_template, or plain (prompt and answer as they are)"
  ),
  maxLength: required(Schema.Int.check(Schema.isGreaterThanOrEqualTo(2)), "tokens per row, prompt and answer and end-of-sequence together"),
  onOverlong: field(
    Schema.Literals(["error", "drop", "truncate", "split"]),
    "error",
    "a row over maxLength: fail, drop it, cut its end, or (text rows) split it into several"
  ),
  trainOnPrompt: field(Schema.Boolean, false, "train on the prompt's tokens too; by default they are masked out of the loss"),
  systemPrompt: field(Schema.String, "", "system message put first by chatml and model templates, where a row has none"),
  classInstruction: field(Schema.String, "Classify the text.", "the instruction shown for classification rows"),
  date: field(Schema.String, "2025-01-01", "the date that a chat_template's strftime_now sees, so that tokens do not change by the day")
})
export type FormatConfig = typeof FormatConfig.Type

export const formatKind = stageKind({
  kind: "format",
  version: 1,
  config: FormatConfig,
  inputs: { train: "rows", validation: "rows?", test: "rows?", base: "base" },
  outputs: { train: "tokens", validation: "tokens", test: "tokens" },
  run: () => import("./run.ts")
})
