// How a row becomes text: the segments of prompt and answer. renderPrompt gives the beginning of what renderTraining gives, and
// segments are tokenized one by one (encode.ts), so the prompt at inference is a prefix of the training ids by construction.
import { DataError } from "#src/domain/Errors.ts"
import type { ChatMessage, Row, RowKind } from "#src/domain/rows.ts"
import type { PromptFormat } from "#src/domain/Tokens.ts"
import { type ChatTemplate, chatml, modelTemplate } from "./chatTemplate.ts"
import { renderChat, renderChatPrompt } from "./renderChat.ts"
import type { Segment } from "./Segment.ts"
import type { Tokenizer } from "./Tokenizer.ts"

/** How prompts are built: `format` is stored with tokens and models; `template` is compiled from it once. */
export interface PromptOptions {
  readonly format: PromptFormat
  readonly tokenizer: Tokenizer
  /** Set for the templates that render messages. */
  readonly template?: ChatTemplate
}

/** A row without its answer. */
export type PromptFields =
  | { readonly instruction: string; readonly input?: string }
  | { readonly prompt: string }
  | { readonly messages: readonly ChatMessage[] }
  | { readonly text: string }

/** @throws DataError where the template does not fit the row kind or the base has no chat_template */
export const promptOptions = (format: PromptFormat, tokenizer: Tokenizer): PromptOptions => {
  // A text is no prompt: no template touches it.
  if (format.rowKind === "text") return { format, tokenizer }
  if (format.template === "chatml") return { format, tokenizer, template: chatml }
  if (format.template === "model") {
    if (tokenizer.chatTemplate === undefined) {
      throw new DataError({
        message: "template is model, but the base has no chat_template",
        where: tokenizer.folder,
        hint: "choose template: chatml or alpaca, or put a chat_template.jinja into the folder"
      })
    }
    return { format, tokenizer, template: modelTemplate(tokenizer.chatTemplate, tokenizer.tokenTexts, format.date) }
  }
  if (format.rowKind === "chat") {
    throw new DataError({
      message: `template ${format.template} has no turns, so it cannot show chat rows`,
      hint: "choose template: chatml or model"
    })
  }
  return { format, tokenizer }
}

/** What a user typed, as the fields that the model was trained to answer; `input` belongs to instructions only. */
export const promptFields = (kind: RowKind, text: string, input?: string): PromptFields => {
  switch (kind) {
    case "instruction":
      return { instruction: text, ...(input === undefined ? {} : { input }) }
    case "completion":
      return { prompt: text }
    case "chat":
      return { messages: [{ role: "user", content: text }] }
    case "text":
    case "classification":
      return { text }
  }
}

/** The answer that a row teaches: its text is also the reference of exact match. Text rows have none; chat rows: the last one. */
export const answerOf = (row: Row): string => {
  if ("output" in row) return row.output
  if ("completion" in row) return row.completion
  if ("label" in row) return row.label
  if ("messages" in row) return row.messages.findLast((m) => m.role === "assistant")?.content ?? ""
  return ""
}

/** Segments of a whole row, up to and with its last trained one; empty where nothing is trained (a chat without an answer). */
export const renderTraining = (row: Row, options: PromptOptions): readonly Segment[] => {
  if (options.format.rowKind === "text") return [{ text: "text" in row ? row.text : "", trained: true, eos: true }]
  if (options.template !== undefined) {
    const messages = messagesOf(row, options.format)
    return renderChat(
      "messages" in row ? messages : [...messages, { role: "assistant", content: answerOf(row) }],
      options.template,
      options.tokenizer
    )
  }
  return [...renderPrompt(row, options), { text: answerOf(row), trained: true, eos: true }]
}

/** Segments up to where the answer begins. */
export const renderPrompt = (fields: PromptFields, options: PromptOptions): readonly Segment[] => {
  if (options.format.rowKind === "text") return [{ text: "text" in fields ? fields.text : "", trained: false, eos: false }]
  if (options.template !== undefined) return renderChatPrompt(messagesOf(fields, options.format), options.template, options.tokenizer)
  const { instruction, input } = question(fields, options.format)
  const text = options.format.template === "alpaca" ? alpaca(instruction, input) : plain(fields, instruction, input)
  return [{ text, trained: false, eos: false }]
}

const question = (fields: PromptFields, format: PromptFormat): { readonly instruction: string; readonly input: string } => {
  if ("instruction" in fields) return { instruction: fields.instruction, input: fields.input ?? "" }
  if ("prompt" in fields) return { instruction: fields.prompt, input: "" }
  if ("text" in fields) return { instruction: format.classInstruction, input: fields.text }
  return { instruction: "", input: "" }
}

const messagesOf = (fields: PromptFields, format: PromptFormat): readonly ChatMessage[] => {
  const system: readonly ChatMessage[] = format.systemPrompt === "" ? [] : [{ role: "system", content: format.systemPrompt }]
  if ("messages" in fields) return fields.messages[0]?.role === "system" ? fields.messages : [...system, ...fields.messages]
  const { instruction, input } = question(fields, format)
  return [...system, { role: "user", content: input === "" ? instruction : `${instruction}\n\n${input}` }]
}

/** The prompt of Stanford Alpaca's train.py, with and without an input. */
export const alpaca = (instruction: string, input: string): string =>
  input === ""
    ? `Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Response:`
    : `Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:`

// Completion rows carry their own spacing; elsewhere a line break keeps the parts apart.
const plain = (fields: PromptFields, instruction: string, input: string): string =>
  "prompt" in fields ? fields.prompt : [instruction, input].map((part) => (part === "" ? "" : `${part}\n`)).join("")
