// format: what is trained, what is masked, which rows are left out and how that is told.
import { join } from "node:path"
import { writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import type { Row } from "#src/domain/rows.ts"
import { readTokens, type TokensTable } from "#src/store/tokens.ts"
import { encodePrompt } from "#src/text/encode.ts"
import { promptOptions } from "#src/text/prompt.ts"
import { loadTokenizer } from "#src/text/Tokenizer.ts"
import { run } from "#stages/format/run.ts"
import { formatKind } from "#stages/format/stage.ts"
import { hasShared, shared } from "../shared.ts"
import { tinyBase } from "../text/tinyBase.ts"
import { context, rowsFile, sameBytes } from "./context.ts"

type Authored = Partial<(typeof formatKind)["config"]["Encoded"]>

const prepare = (config: Authored, inputs: Readonly<Record<string, string>>) =>
  context(formatKind, { template: "plain", maxLength: 64, ...config }, { base: tinyBase(), ...inputs })

const format = async (config: Authored, inputs: Readonly<Record<string, string>>) => {
  const c = prepare(config, inputs)
  const result = await run(c)
  return { c, result, train: await readTokens(c.output("train")) }
}
const failure = (config: Authored, inputs: Readonly<Record<string, string>>): Promise<unknown> =>
  run(prepare(config, inputs)).then(
    () => expect.unreachable("the stage should fail"),
    (error: unknown) => error
  )

const rowOf = (table: TokensTable, i: number) => {
  const range = [table.offsets[i], table.offsets[i + 1]] as const
  return { tokens: [...table.tokens.subarray(...range)], mask: [...table.mask.subarray(...range)] }
}
const text = (...texts: readonly string[]) =>
  rowsFile(
    "text",
    texts.map((t, i) => ({ id: `t${i}`, text: t }))
  )
const completions: readonly Row<"completion">[] = [
  { id: "a", prompt: "ab", completion: "c" },
  { id: "b", prompt: "abcdef", completion: "ghij" }
]

describe("what is trained", () => {
  it("the answer and the end of sequence; the prompt only when that was asked for", async () => {
    const rows = await rowsFile("completion", completions)
    const { train, result } = await format({}, { train: rows })
    expect(rowOf(train, 0)).toEqual({ tokens: [256, 97, 98, 99, 257], mask: [0, 0, 0, 1, 1] })
    expect([train.ids, [...train.promptLength], train.reference]).toEqual([
      ["a", "b"],
      [3, 7],
      ["c", "ghij"]
    ])
    expect(result).toMatchObject({
      rows: { train: 2 },
      metrics: { rows: 2, tokens: 17, trainedTokens: 7, dropped: 0, truncated: 0 },
      summary: "train 2 rows, 17 tokens (7 trained)"
    })
    expect(rowOf((await format({ trainOnPrompt: true }, { train: rows })).train, 0).mask).toEqual([0, 1, 1, 1, 1])
  })

  it("every token of a text but the first", async () => {
    const { train } = await format({}, { train: await text("ab") })
    expect(rowOf(train, 0)).toEqual({ tokens: [256, 97, 98, 257], mask: [0, 1, 1, 1] })
    const bare = await format({}, { train: await text("ab"), base: tinyBase({ bos: false }) })
    expect(rowOf(bare.train, 0)).toEqual({ tokens: [97, 98, 257], mask: [0, 1, 1] })
  })

  it("every assistant's turn of a chat, which ends with its own token", async () => {
    const messages = [
      { role: "user", content: "q" },
      { role: "assistant", content: "a" },
      { role: "user", content: "r" },
      { role: "assistant", content: "b" },
      { role: "user", content: "bye" }
    ] as const
    const base = tinyBase({ special: ["<|im_start|>", "<|im_end|>"] })
    const rows = await rowsFile("chat", [{ id: "1", messages }])
    const { train } = await format({ template: "chatml", maxLength: 200 }, { train: rows, base })
    const { tokens, mask } = rowOf(train, 0)
    expect(tokens.filter((_, i) => mask[i] === 1)).toEqual([97, 259, 98, 259])
    expect(tokens.at(-1)).toBe(259)
    expect(train.meta.eosTokenIds).toEqual([259, 257])
    expect(train.reference).toEqual(["b"])
    expect(tokens[train.promptLength[0] as number]).toBe(98)
  })

  it("what is stored builds the same prompts again", async () => {
    const base = tinyBase()
    const rows = await rowsFile("classification", [{ id: "1", text: "hello", label: "good" }])
    const { train } = await format({ template: "alpaca", maxLength: 400, classInstruction: "Good or bad?" }, { train: rows, base })
    const prompt = encodePrompt({ text: "hello" }, promptOptions(train.meta.promptFormat, await loadTokenizer(base)))
    expect(rowOf(train, 0).tokens.slice(0, train.promptLength[0])).toEqual(prompt)
    expect(train.meta).toMatchObject({ maxLength: 400, vocabSize: 258, bosTokenId: 256, eosTokenIds: [257], padTokenId: null })
  })

  it("gives the same bytes each time, for each part", async () => {
    const [rows, base] = [await rowsFile("completion", completions), tinyBase()]
    const one = await format({}, { train: rows, validation: rows, base })
    const two = await format({}, { train: rows, validation: rows, base })
    for (const part of ["train", "validation"]) expect(sameBytes(one.c.output(part), two.c.output(part))).toBe(true)
    expect(one.result.rows).toEqual({ train: 2, validation: 2 })
  })
})

describe("rows over maxLength", () => {
  it("are an error unless a policy is named", async () => {
    expect(await failure({ maxLength: 8 }, { train: await rowsFile("completion", completions) })).toMatchObject({
      _tag: "DataError",
      message: "1 of 2 train rows are longer than maxLength 8",
      where: "train row b",
      why: "the longest has 12 tokens",
      hint: 'set maxLength: 12, or onOverlong: "drop" or "truncate"'
    })
  })

  it("are dropped, counted and named", async () => {
    const { train, result, c } = await format({ maxLength: 8, onOverlong: "drop" }, { train: await rowsFile("completion", completions) })
    expect(train.ids).toEqual(["a"])
    expect(result).toMatchObject({ metrics: { dropped: 1 }, summary: "train 1 rows, 5 tokens (2 trained); 1 rows dropped" })
    expect(c.logs("warning")).toEqual(["train: dropped 1 rows longer than maxLength 8: b"])
  })

  it("are cut at their end, and left out where only the prompt remains", async () => {
    const train = await rowsFile("completion", completions)
    const cut = await format({ maxLength: 9, onOverlong: "truncate" }, { train })
    expect(rowOf(cut.train, 1)).toEqual({ tokens: [256, 97, 98, 99, 100, 101, 102, 103, 104], mask: [0, 0, 0, 0, 0, 0, 0, 1, 1] })
    expect(cut.result.metrics).toMatchObject({ truncated: 1, dropped: 0 })
    const gone = await format({ maxLength: 6, onOverlong: "truncate" }, { train })
    expect(gone.train.ids).toEqual(["a"])
    expect(gone.c.logs("warning")).toEqual([
      "train: truncated 1 rows longer than maxLength 6: b",
      "train: left out 1 rows without a trained token: b"
    ])
  })

  it("are split where they are texts", async () => {
    const { train, result } = await format({ maxLength: 4, onOverlong: "split" }, { train: await text("abcdefg", "x") })
    expect(train.ids).toEqual(["t0.1", "t0.2", "t0.3", "t1"])
    expect(rowOf(train, 0)).toEqual({ tokens: [256, 97, 98, 99], mask: [0, 1, 1, 1] })
    expect(rowOf(train, 2)).toEqual({ tokens: [256, 103, 257], mask: [0, 1, 1] })
    expect(result.summary).toMatch(/; 1 texts split$/)
    expect(await failure({ onOverlong: "split" }, { train: await rowsFile("completion", completions) })).toMatchObject({
      message: 'onOverlong "split" is for text rows; these are completion rows'
    })
  })
})

describe("what is refused or told", () => {
  it("no row with a trained token", async () => {
    const asked = [{ id: "1", messages: [{ role: "user", content: "?" }] }] as const
    expect(await failure({ template: "chatml" }, { train: await rowsFile("chat", asked) })).toMatchObject({
      _tag: "DataError",
      message: "no row of train has a trained token"
    })
    const long = { train: await rowsFile("completion", completions) }
    expect(await failure({ maxLength: 2, onOverlong: "drop" }, long)).toMatchObject({
      message: "no row of train has a trained token",
      why: "of its 2 rows, 2 are longer than maxLength 2"
    })
    expect(await failure({}, { train: await text() })).toMatchObject({ why: "it has no rows" })
  })

  it("an empty validation part is an empty table", async () => {
    const { c } = await format({}, { train: await text("a"), validation: await text() })
    expect((await readTokens(c.output("validation"))).ids).toEqual([])
  })

  it("parts of different kinds, a tokenizer that does not fit, one without an end token", async () => {
    const train = await text("a")
    expect(await failure({}, { train, test: await rowsFile("completion", completions) })).toMatchObject({
      message: "train has text rows, test has completion rows"
    })
    expect(await failure({}, { train, base: tinyBase({ vocabSize: 200 }) })).toMatchObject({
      message: "the tokenizer does not fit the model: it has ids up to 257, the model's vocab_size is 200"
    })
    const endless = tinyBase()
    writeFileSync(join(endless, "tokenizer_config.json"), "{}")
    expect(await failure({}, { train, base: endless })).toMatchObject({
      message: "the tokenizer names no end-of-sequence token, so an answer could never end"
    })
  })

  it("the row that a template refuses", async () => {
    const template =
      "{% if messages | length > 2 %}{{ raise_exception('too long a talk') }}{% endif %}{% for m in messages %}[{{ m.content }}]{% endfor %}"
    const turn = [
      { role: "user", content: "q" },
      { role: "assistant", content: "a" }
    ] as const
    const rows: readonly Row<"chat">[] = [
      { id: "fine", messages: turn },
      { id: "long", messages: [...turn, ...turn] }
    ]
    const base = tinyBase({ chatTemplate: template })
    expect(await failure({ template: "model" }, { train: await rowsFile("chat", rows), base })).toMatchObject({
      _tag: "DataError",
      message: "the model's chat_template refuses this conversation",
      where: "train row long",
      why: "too long a talk"
    })
  })

  it("rows that write out a special token", async () => {
    const { c } = await format({}, { train: await text("a</s>b", "c") })
    expect(c.logs("warning")).toEqual(["train: 1 rows hold the text of a special token, which becomes the token itself: t0"])
  })

  it("stops when the run is stopped", async () => {
    const c = prepare({}, { train: await text(...Array.from({ length: 600 }, (_, i) => `t${i}`)) })
    await expect(run({ ...c, stopRequested: () => true })).rejects.toMatchObject({ _tag: "InterruptedError" })
    await run(c)
    expect(c.events.filter((e) => e._tag === "Progress")).toEqual([{ _tag: "Progress", done: 500, total: 600, unit: "train rows" }])
  })
})

describe.skipIf(!hasShared)("a real base (needs the shared data)", () => {
  it("begins each row of stories260k with one <s> and ends it with </s>", async () => {
    const train = await rowsFile("instruction", [{ id: "1", instruction: "Tell a story.", output: "Once upon a time" }])
    const one = await format({ template: "alpaca", maxLength: 512 }, { train, base: shared("data/stories260k/hf") })
    const { tokens, mask } = rowOf(one.train, 0)
    expect([tokens[0], tokens.filter((id) => id === 1).length, tokens.at(-1)]).toEqual([1, 1, 2])
    expect(tokens.filter((_, i) => mask[i] === 1)).toEqual([403, 407, 261, 378, 2])
  })
})
