// A piece of a rendered row: what is tokenized by itself.

/** `trained`: the text is the model's to say; `eos`: the tokenizer's end-of-sequence token follows it. */
export interface Segment {
  readonly text: string
  readonly trained: boolean
  readonly eos: boolean
}
