// Text of tokens as they come: a character whose bytes are spread over several tokens appears once it is whole.

export interface TextStream {
  /** The text that this token completes; "" while a character is still open. */
  readonly push: (id: number) => string
  /** What is left at the end, broken characters included. */
  readonly end: () => string
}

const replacement = "\uFFFD"

/**
 * `context` are the ids before the stream: a decoder may treat the first token of a text differently (a leading space). Only ids
 * since the last whole piece are decoded again, so a long text costs no more per token than a short one.
 */
export const textStream = (decode: (ids: readonly number[]) => string, context: readonly number[]): TextStream => {
  // `shown` ids of the window are out already; they stay in it because the next piece's text depends on what stands before it.
  let window = [...context]
  let shown = window.length
  const rest = (): string => decode(window).slice(decode(window.slice(0, shown)).length)
  return {
    push: (id) => {
      window.push(id)
      const text = rest()
      if (text === "" || text.endsWith(replacement)) return ""
      window = window.slice(shown)
      shown = window.length
      return text
    },
    end: () => {
      const text = rest()
      shown = window.length
      return text
    }
  }
}
