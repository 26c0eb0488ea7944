// What the data stages need of a base model's folder: its tokenizer, its vocabulary size and the ids that end a text.
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { DataError } from "#src/domain/Errors.ts"
import { parseJson } from "./json.ts"
import { loadTokenizer, type Tokenizer } from "./Tokenizer.ts"

export interface BaseText {
  readonly tokenizer: Tokenizer
  /** vocab_size of config.json: ids at or above it do not exist in the model. */
  readonly vocabSize: number
  /** End-of-sequence ids: the tokenizer's own first, then those of config.json and generation_config.json. */
  readonly eosTokenIds: readonly number[]
}

const readJson = async (path: string): Promise<Record<string, unknown> | undefined> => {
  try {
    return parseJson(await readFile(path, "utf8"), path)
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined
    throw cause
  }
}

const ids = (value: unknown): readonly number[] => [value].flat().filter((id) => typeof id === "number")

/**
 * @throws DataError where config.json or tokenizer.json is missing or damaged, or the tokenizer has ids that the model lacks
 */
export const loadBaseText = async (folder: string): Promise<BaseText> => {
  const path = join(folder, "config.json")
  const config = await readJson(path)
  if (config === undefined) {
    throw new DataError({
      message: "the base model's folder has no config.json",
      where: folder,
      hint: "give a folder in Hugging Face layout: config.json, model.safetensors, tokenizer.json"
    })
  }
  const vocabSize = config["vocab_size"]
  if (typeof vocabSize !== "number") throw new DataError({ message: "config.json has no vocab_size", where: path })
  const tokenizer = await loadTokenizer(folder)
  if (tokenizer.vocabSize > vocabSize) {
    throw new DataError({
      message: `the tokenizer does not fit the model: it has ids up to ${tokenizer.vocabSize - 1}, the model's vocab_size is ${vocabSize}`,
      where: folder,
      why: "tokenizer.json and config.json do not belong together, or tokens were added without resizing the model",
      hint: "use the tokenizer.json that came with the model"
    })
  }
  const generation = await readJson(join(folder, "generation_config.json"))
  const own = tokenizer.eosTokenId === null ? [] : [tokenizer.eosTokenId]
  const eosTokenIds = [...new Set([...own, ...ids(config["eos_token_id"]), ...ids(generation?.["eos_token_id"])])]
  return { tokenizer, vocabSize, eosTokenIds }
}
