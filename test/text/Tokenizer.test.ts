// Tokenizer: ids equal to the reference implementation's on awkward strings; damage and misfit are named.
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { loadBaseText } from "#src/text/base.ts"
import { loadTokenizer } from "#src/text/Tokenizer.ts"
import { hasShared, shared } from "../shared.ts"
import { tinyBase } from "./tinyBase.ts"

interface Goldens {
  readonly rows: readonly { readonly text: string; readonly ids: Readonly<Record<string, readonly number[]>> }[]
}
const json = (path: string) => JSON.parse(readFileSync(path, "utf8")) as never

// Qwen2 comes as vocab.json and merges.txt; the pipeline around them is the one that its tokenizer class builds.
const qwen2 = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "anneal-qwen2-"))
  const source = shared("data/tokenizers/qwen2")
  const pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
  const tokenizer = {
    added_tokens: [],
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false }
      ]
    },
    post_processor: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: {
      type: "BPE",
      vocab: json(join(source, "vocab.json")),
      merges: readFileSync(join(source, "merges.txt"), "utf8").split(/\r?\n/).slice(1).filter(Boolean)
    }
  }
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer))
  return folder
}

describe.skipIf(!hasShared)("ids of the reference tokenizers (needs the shared data)", () => {
  it.each([
    ["stories260k (HF tokenizers, converted tokenizer.json, no BOS)", () => shared("data/stories260k/hf")],
    ["gpt2 (HF tokenizers, tokenizer.json)", () => shared("data/tokenizers/gpt2")],
    ["r50k_base (tiktoken encode_ordinary)", () => shared("data/tokenizers/gpt2")],
    ["qwen2/2.5 (HF BPE from vocab.json+merges.txt, NFC, no special tokens)", qwen2]
  ])("%s", async (name, folder) => {
    const tokenizer = await loadTokenizer(folder())
    const { rows } = json(shared("data/goldens/token_ids.json")) as Goldens
    expect(rows.length).toBe(30)
    // tiktoken's encode_ordinary and the bare qwen2 read written-out special tokens as text; a tokenizer.json does not.
    const comparable = name.startsWith("r50k") ? rows.filter((row) => !row.text.includes("<|endoftext|>")) : rows
    for (const { text, ids } of comparable) expect([text, tokenizer.encode(text)]).toEqual([text, ids[name]])
  })

  it("decodes what it encoded, and adds the one begin-of-sequence token of stories260k", async () => {
    const { tokenizer, vocabSize, eosTokenIds } = await loadBaseText(shared("data/stories260k/hf"))
    for (const text of ["Once upon a time", "a , b . c", "\u{1f600} ö", "  two  spaces "])
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
    expect([tokenizer.bosTokenId, tokenizer.eosTokenId, tokenizer.vocabSize, vocabSize, eosTokenIds]).toEqual([1, 2, 512, 512, [2]])
  })
})

describe("a folder that cannot be used", () => {
  it("names a missing tokenizer.json", async () => {
    const folder = mkdtempSync(join(tmpdir(), "anneal-none-"))
    await expect(loadTokenizer(folder)).rejects.toMatchObject({
      _tag: "DataError",
      message: "the base model's folder has no tokenizer.json",
      where: folder
    })
  })

  it("names a damaged tokenizer.json, whether cut short or of an unknown kind", async () => {
    const folder = tinyBase()
    const path = join(folder, "tokenizer.json")
    const whole = readFileSync(path, "utf8")
    writeFileSync(path, whole.slice(0, 500))
    await expect(loadTokenizer(folder)).rejects.toMatchObject({ _tag: "DataError", message: "the file is no JSON object", where: path })
    writeFileSync(path, whole.replace('"TemplateProcessing"', '"Magic"'))
    await expect(loadTokenizer(folder)).rejects.toMatchObject({ _tag: "DataError", message: "tokenizer.json cannot be used", where: path })
  })

  it("refuses a tokenizer with ids that the model lacks", async () => {
    const folder = tinyBase({ special: ["<|a|>"], vocabSize: 258 })
    await expect(loadBaseText(folder)).rejects.toMatchObject({
      _tag: "DataError",
      message: "the tokenizer does not fit the model: it has ids up to 258, the model's vocab_size is 258",
      where: folder
    })
  })

  it("names a missing config.json and one without vocab_size", async () => {
    const folder = tinyBase()
    writeFileSync(join(folder, "config.json"), "{}")
    await expect(loadBaseText(folder)).rejects.toMatchObject({ message: "config.json has no vocab_size" })
    await expect(loadBaseText(mkdtempSync(join(tmpdir(), "anneal-none-")))).rejects.toMatchObject({
      message: "the base model's folder has no config.json"
    })
  })
})

describe("a tokenizer's own facts", () => {
  it("finds special tokens and whether a sequence begins with one", async () => {
    const with_ = await loadTokenizer(tinyBase({ special: ["<|im_end|>"] }))
    expect([with_.bosTokenId, with_.specialTokens.get("<|im_end|>"), with_.encode("a</s>")]).toEqual([256, 258, [97, 257]])
    expect((await loadTokenizer(tinyBase({ bos: false }))).bosTokenId).toBe(null)
    expect(with_.decode([104, 105, 257, 9999])).toBe("hi")
    expect(with_.decode([104, 105, 257], true)).toBe("hi</s>")
    expect(with_.decode([])).toBe("")
  })

  it("has a digest that changes with the chat template", async () => {
    const folder = tinyBase()
    const before = (await loadTokenizer(folder)).digest
    writeFileSync(join(folder, "chat_template.jinja"), "{{ messages[0].content }}")
    const after = await loadTokenizer(folder)
    expect(after.digest).not.toBe(before)
    expect(after.chatTemplate).toBe("{{ messages[0].content }}")
  })
})
