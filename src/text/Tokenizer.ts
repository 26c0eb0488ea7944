// A base folder's tokenizer: text to ids and back, its special tokens and its chat template. Wraps @huggingface/tokenizers.
import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers"
import { DataError } from "#src/domain/Errors.ts"
import { isRecord, parseJson } from "./json.ts"

export interface Tokenizer {
  /** Folder that it was loaded from. */
  readonly folder: string
  /** "sha256:<hex>" over everything that decides ids and prompts: tokenizer.json, tokenizer_config.json, chat_template.jinja. */
  readonly digest: string
  /** Highest id + 1. */
  readonly vocabSize: number
  /** The token that begins every sequence; null where the tokenizer adds none. */
  readonly bosTokenId: number | null
  /** The end-of-sequence token of tokenizer_config.json; null where it names none. */
  readonly eosTokenId: number | null
  readonly padTokenId: number | null
  /** Added tokens marked special: text -> id. */
  readonly specialTokens: ReadonlyMap<string, number>
  /** bos_token, eos_token … as texts, for chat templates. */
  readonly tokenTexts: Readonly<Record<string, string>>
  /** Jinja source of chat_template.jinja or tokenizer_config.json; undefined where the folder has none. */
  readonly chatTemplate: string | undefined
  /** Ids of a text, without begin- or end-of-sequence tokens. Special tokens written out in the text become their ids. */
  readonly encode: (text: string) => number[]
  /** Text of ids, spacing kept as it is; special tokens are left out unless `special` is set. */
  readonly decode: (ids: ArrayLike<number>, special?: boolean) => string
}

const read = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return undefined
    throw cause
  })

// tokenizer_config.json writes a token as text or as {content: text, …}.
const tokenText = (value: unknown): string | undefined =>
  typeof value === "string" ? value : isRecord(value) && typeof value["content"] === "string" ? value["content"] : undefined

// A folder may hold several named templates; the one that is used without asking for a name is "default".
const templateSource = (value: unknown): string | undefined => {
  if (typeof value === "string") return value
  if (!Array.isArray(value)) return undefined
  const found: unknown = value.find((entry) => isRecord(entry) && entry["name"] === "default")
  return isRecord(found) && typeof found["template"] === "string" ? found["template"] : undefined
}

/**
 * Loads the tokenizer of a folder in Hugging Face layout.
 * @throws DataError where tokenizer.json is missing, damaged or of a kind that cannot be used
 */
export const loadTokenizer = async (folder: string): Promise<Tokenizer> => {
  const path = join(folder, "tokenizer.json")
  const [json, configJson, jinja] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"].map((name) => read(join(folder, name)))
  )
  if (json === undefined) {
    throw new DataError({
      message: "the base model's folder has no tokenizer.json",
      where: folder,
      hint: "write one with transformers: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
    })
  }
  const config = configJson === undefined ? {} : parseJson(configJson, join(folder, "tokenizer_config.json"))
  const inner = construct(parseJson(json, path), config, path)
  const texts = Object.fromEntries(
    ["bos_token", "eos_token", "pad_token", "unk_token"].flatMap((name) => {
      const text = tokenText(config[name])
      return text === undefined ? [] : [[name, text]]
    })
  )
  const id = (name: string): number | null => (texts[name] === undefined ? null : (inner.token_to_id(texts[name]) ?? null))
  const added = [...inner.get_added_tokens_decoder()]
  const ids = [...inner.get_vocab(true).values()]
  return {
    folder,
    digest: digestOf([json, configJson, jinja]),
    vocabSize: ids.reduce((highest, id) => Math.max(highest, id), -1) + 1,
    bosTokenId: leadingToken(inner) ?? (config["add_bos_token"] === true ? id("bos_token") : null),
    eosTokenId: id("eos_token"),
    padTokenId: id("pad_token"),
    specialTokens: new Map(added.filter(([, token]) => token.special).map(([id, token]) => [token.content, id])),
    tokenTexts: texts,
    chatTemplate: jinja ?? templateSource(config["chat_template"]),
    encode: (text) => (text === "" ? [] : inner.encode(text, { add_special_tokens: false }).ids),
    decode: (ids, special = false) => {
      const known = Array.from(ids).filter((id) => inner.id_to_token(id) !== undefined)
      return known.length === 0 ? "" : inner.decode(known, { skip_special_tokens: !special, clean_up_tokenization_spaces: false })
    }
  }
}

const construct = (json: Record<string, unknown>, config: Record<string, unknown>, path: string): HuggingFaceTokenizer => {
  try {
    return new HuggingFaceTokenizer(json, config)
  } catch (cause) {
    throw new DataError({
      message: "tokenizer.json cannot be used",
      where: path,
      why: cause instanceof Error ? cause.message : String(cause),
      hint: "copy the file again from where the model came from"
    })
  }
}

// What the post-processor puts before a text: the one token that "a" gains in front with special tokens.
const leadingToken = (inner: HuggingFaceTokenizer): number | undefined => {
  const plain = inner.encode("a", { add_special_tokens: false }).ids
  const full = inner.encode("a", { add_special_tokens: true }).ids
  return full.length > plain.length && full[1] === plain[0] ? full[0] : undefined
}

const digestOf = (parts: readonly (string | undefined)[]): string => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part === undefined ? "-" : `${Buffer.byteLength(part)}:${part}`)
  return `sha256:${hash.digest("hex")}`
}
