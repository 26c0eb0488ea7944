// A base folder without weights for tests: a byte-level tokenizer (ids 0-255 are bytes), <s> </s> and chosen special tokens.
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface TinyBase {
  /** Special tokens after <s> (256) and </s> (257). */
  readonly special?: readonly string[]
  /** Whether the post-processor puts <s> first. */
  readonly bos?: boolean
  readonly chatTemplate?: string
  readonly vocabSize?: number
}

// GPT-2's printable stand-ins for the 256 bytes.
const byteSymbols = (): readonly string[] => {
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
    return String.fromCodePoint(printable ? byte : next++)
  })
}

export const tinyBase = ({ special = [], bos = true, chatTemplate, vocabSize }: TinyBase = {}): string => {
  const folder = mkdtempSync(join(tmpdir(), "anneal-base-"))
  const names = ["<s>", "</s>", ...special]
  const processor = {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: { "<s>": { id: "<s>", ids: [256], tokens: ["<s>"] } }
  }
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: names.map((content, i) => ({
      id: 256 + i,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true
    })),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: bos ? processor : null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(byteSymbols().map((symbol, id) => [symbol, id])),
      merges: []
    }
  }
  const write = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value))
  write("tokenizer.json", tokenizer)
  write("tokenizer_config.json", {
    bos_token: "<s>",
    eos_token: "</s>",
    ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate })
  })
  write("config.json", { model_type: "llama", vocab_size: vocabSize ?? 256 + names.length, eos_token_id: 257 })
  return folder
}
