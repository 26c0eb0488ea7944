// A conversation as segments: every assistant's answer trained with the token that ends its turn, all else only shown.
import { DataError } from "#src/domain/Errors.ts"
import type { ChatMessage } from "#src/domain/rows.ts"
import type { ChatTemplate } from "./chatTemplate.ts"
import type { Segment } from "./Segment.ts"
import type { Tokenizer } from "./Tokenizer.ts"

/**
 * Renders growing beginnings of the conversation and takes what each adds, so that the template itself says where a turn
 * begins and ends. Ends with the last answer: later messages train nothing.
 * @throws DataError where the template does not show a conversation as a continuation of its own beginning
 */
export const renderChat = (messages: readonly ChatMessage[], template: ChatTemplate, tokenizer: Tokenizer): readonly Segment[] => {
  const segments: Segment[] = []
  let shown = ""
  messages.forEach((message, i) => {
    if (message.role !== "assistant") return
    const before = continued(shown, template(messages.slice(0, i), true), i)
    const turnOf = (content: string) => {
      const turn: ChatMessage = { role: "assistant", content }
      return continued(before, template([...messages.slice(0, i), turn], false), i).slice(before.length)
    }
    const { answer, eos } = answerPart(turnOf, message.content, tokenizer, i)
    segments.push({ text: before.slice(shown.length), trained: false, eos: false }, { text: answer, trained: true, eos })
    shown = before + answer
  })
  return segments
}

/** Segments of a conversation up to where the assistant's next answer begins. */
export const renderChatPrompt = (messages: readonly ChatMessage[], template: ChatTemplate, tokenizer: Tokenizer): readonly Segment[] => {
  const earlier = renderChat(messages, template, tokenizer)
  const shown = earlier.map((segment) => segment.text).join("")
  const rest = continued(shown, template(messages, true), messages.length).slice(shown.length)
  return [...earlier, { text: rest, trained: false, eos: false }]
}

const continued = (beginning: string, whole: string, at: number): string => {
  if (whole.startsWith(beginning)) return whole
  throw broken(at, "it changes what it showed of earlier messages")
}

// No text of a row holds it, no template trims it.
const marker = "\u0000"

// The part of the assistant's turn that is trained: the answer and, where the template closes the turn with a special token,
// that token; otherwise the tokenizer's own end of sequence follows the answer, so that generation knows where to stop.
// Where the answer stands is found by showing a marker in its place: an answer may well repeat what the template writes.
const answerPart = (turnOf: (content: string) => string, content: string, tokenizer: Tokenizer, at: number) => {
  const [opening = "", closing, ...more] = turnOf(marker).split(marker)
  const turn = turnOf(content)
  if (closing === undefined || more.length > 0 || ![content, content.trim()].some((text) => turn === opening + text + closing)) {
    throw broken(at, "it does not show the assistant's message as it is written")
  }
  const end = [...tokenizer.specialTokens.keys()].find((token) => closing.startsWith(token))
  return { answer: turn.slice(0, turn.length - closing.length + (end?.length ?? 0)), eos: end === undefined }
}

const broken = (at: number, why: string) =>
  new DataError({
    message: `the chat template cannot mark the answer in message ${at + 1}`,
    why,
    hint: "choose template: chatml, or train on conversations with one answer"
  })
