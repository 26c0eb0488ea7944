// Chat templates: messages -> prompt text. A model's own is Jinja; chatml is written out.
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja"
import { DataError } from "#src/domain/Errors.ts"
import type { ChatMessage } from "#src/domain/rows.ts"

/** `answerNext` ends the text where the assistant's answer would begin (add_generation_prompt). */
export type ChatTemplate = (messages: readonly ChatMessage[], answerNext: boolean) => string

export const chatml: ChatTemplate = (messages, answerNext) =>
  messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join("") +
  (answerNext ? "<|im_start|>assistant\n" : "")

/** Python's strftime for a date without time: the directives that templates use. */
export const strftime = (date: Date, format: string): string => {
  const name = (options: Intl.DateTimeFormatOptions) => date.toLocaleDateString("en-US", { ...options, timeZone: "UTC" })
  const directives: Record<string, () => string> = {
    Y: () => String(date.getUTCFullYear()),
    y: () => String(date.getUTCFullYear()).slice(-2),
    m: () => String(date.getUTCMonth() + 1).padStart(2, "0"),
    d: () => String(date.getUTCDate()).padStart(2, "0"),
    B: () => name({ month: "long" }),
    b: () => name({ month: "short" }),
    A: () => name({ weekday: "long" }),
    a: () => name({ weekday: "short" }),
    H: () => "00",
    M: () => "00",
    S: () => "00",
    "%": () => "%"
  }
  return format.replace(/%(.)/g, (whole, directive: string) => directives[directive]?.() ?? whole)
}

const range = (start: number, stop?: number, step = 1): readonly number[] => {
  const [from, to] = stop === undefined ? [0, start] : [start, stop]
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step)
}

/** What a template throws with raise_exception: its own words for a conversation that it does not take. */
class RaisedByTemplate extends Error {}

/**
 * A model's own chat_template. `tokens` are its bos_token, eos_token … as texts; `date` (YYYY-MM-DD) is what strftime_now sees,
 * so that the same rows give the same tokens on any day.
 * @throws DataError where the template cannot be parsed; the returned function: where it refuses a conversation
 */
export const modelTemplate = (source: string, tokens: Readonly<Record<string, string>>, date: string): ChatTemplate => {
  const failed = (message: string, why: string) =>
    new DataError({ message, why, hint: "choose template: chatml or alpaca, or change the rows to what the template takes" })
  let program: ReturnType<typeof parse>
  try {
    program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }))
  } catch (cause) {
    throw failed("the model's chat_template cannot be read", String(cause))
  }
  const globals = {
    ...tokens,
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range,
    raise_exception: (message: unknown) => {
      throw new RaisedByTemplate(String(message))
    },
    strftime_now: (format: string) => strftime(new Date(`${date}T00:00:00Z`), format)
  }
  return (messages, answerNext) => {
    const environment = new Environment()
    for (const [name, value] of Object.entries({ ...globals, messages, add_generation_prompt: answerNext })) environment.set(name, value)
    try {
      return String(new Interpreter(environment).run(program).value)
    } catch (cause) {
      if (cause instanceof RaisedByTemplate) throw failed("the model's chat_template refuses this conversation", cause.message)
      throw failed("the model's chat_template cannot render this conversation", String(cause))
    }
  }
}
