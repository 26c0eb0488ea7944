// The row kinds that flow between the data stages. A rows artifact is one Arrow IPC file: column `id` plus the fields below.
import * as Schema from "effect/Schema"

/** "instruction": `input` is an optional context; `output` is what the model should answer. */
export const InstructionRow = Schema.Struct({
  instruction: Schema.String,
  input: Schema.optionalKey(Schema.String),
  output: Schema.String
})
/** "completion": the model continues `prompt` with `completion`. */
export const CompletionRow = Schema.Struct({ prompt: Schema.String, completion: Schema.String })
/** "chat": messages in order; the assistant's messages are what is trained. */
export const ChatMessage = Schema.Struct({
  role: Schema.Literals(["system", "user", "assistant"]),
  content: Schema.String
})
export const ChatRow = Schema.Struct({ messages: Schema.NonEmptyArray(ChatMessage) })
/** "text": every token is trained (domain tuning, pre-training). */
export const TextRow = Schema.Struct({ text: Schema.String })
/** "classification": `label` is one of a closed set. */
export const ClassificationRow = Schema.Struct({ text: Schema.String, label: Schema.String })

export const RowSchemas = {
  instruction: InstructionRow,
  completion: CompletionRow,
  chat: ChatRow,
  text: TextRow,
  classification: ClassificationRow
} as const

export const RowKind = Schema.Literals(["instruction", "completion", "chat", "text", "classification"])
export type RowKind = typeof RowKind.Type
export type InstructionRow = typeof InstructionRow.Type
export type CompletionRow = typeof CompletionRow.Type
export type ChatMessage = typeof ChatMessage.Type
export type ChatRow = typeof ChatRow.Type
export type TextRow = typeof TextRow.Type
export type ClassificationRow = typeof ClassificationRow.Type

/** A row with its id: the first 16 hex digits of the sha256 of its content, "-2", "-3" … for exact repetitions. */
export type Row<K extends RowKind = RowKind> = { readonly id: string } & (typeof RowSchemas)[K]["Type"]
