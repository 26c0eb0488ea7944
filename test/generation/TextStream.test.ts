// Streamed text is the whole text, piece by piece, and never shows half a character.
import { expect, test } from "vitest"
import { textStream } from "#src/runtime/TextStream.ts"
import { loadTokenizer } from "#src/text/Tokenizer.ts"
import { hasShared, shared } from "../shared.ts"
import { tinyBase } from "../text/tinyBase.ts"

const text = "Zürich – 日本 🙂 done"

test("bytes of one character are held back until it is whole", async () => {
  const tokenizer = await loadTokenizer(tinyBase())
  const stream = textStream((ids) => tokenizer.decode(ids), [])
  const pieces = tokenizer.encode(text).map(stream.push)
  expect(pieces.join("") + stream.end()).toBe(text)
  expect(pieces.filter((piece) => piece !== "")).toEqual(Array.from(text))
})

test("an unfinished character appears at the end as a replacement", async () => {
  const tokenizer = await loadTokenizer(tinyBase())
  const stream = textStream((ids) => tokenizer.decode(ids), [])
  const ids = tokenizer.encode("a日").slice(0, -1)
  expect(ids.map(stream.push).join("")).toBe("a")
  expect(stream.end()).toMatch(/^\uFFFD+$/)
  expect(stream.end()).toBe("")
})

test.skipIf(!hasShared)("spaces between words survive, after a prompt and without one", async () => {
  const tokenizer = await loadTokenizer(shared("data/stories260k/hf"))
  const ids = tokenizer.encode("Once upon a time, there was a girl.")
  const decode = (of: readonly number[]): string => tokenizer.decode(of)
  for (const prompt of [0, 3]) {
    const stream = textStream(decode, ids.slice(0, prompt))
    const pieces = ids.slice(prompt).map(stream.push)
    expect(decode(ids.slice(0, prompt)) + pieces.join("") + stream.end()).toBe("Once upon a time, there was a girl.")
  }
})
