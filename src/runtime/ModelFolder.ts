// The files of a trained model's folder besides its tensors: the base's tokenizer and config, and anneal.json.
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises"
import { existsSync } from "node:fs"
import { join } from "node:path"
import * as Schema from "effect/Schema"
import { ModelInfo, modelInfoFile } from "#src/domain/ModelInfo.ts"

/** What generation needs besides the weights; only tokenizer.json is always there. */
const carried = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja"
]

/** Copies the base's tokenizer and config files that exist and writes anneal.json. Files already there stay. */
export const completeModelFolder = async (folder: string, base: string, info: ModelInfo): Promise<void> => {
  await copyTextFiles(folder, base)
  await writeFile(join(folder, modelInfoFile), `${JSON.stringify(Schema.encodeSync(ModelInfo)(info), undefined, 2)}\n`)
}

/** Copies the base's tokenizer and config files that exist. Files already there stay. */
export const copyTextFiles = async (folder: string, base: string): Promise<void> => {
  await mkdir(folder, { recursive: true })
  for (const name of carried)
    if (existsSync(join(base, name)) && !existsSync(join(folder, name))) await copyFile(join(base, name), join(folder, name))
}

/** Whether a folder holds an adapter in PEFT's format. */
export const isAdapterFolder = (folder: string): boolean => existsSync(join(folder, "adapter_config.json"))

/** anneal.json of a model folder; undefined where it was not trained by anneal. */
export const readModelInfo = async (folder: string): Promise<ModelInfo | undefined> => {
  const path = join(folder, modelInfoFile)
  if (!existsSync(path)) return undefined
  return Schema.decodeUnknownSync(Schema.fromJsonString(ModelInfo))(await readFile(path, "utf8"))
}
