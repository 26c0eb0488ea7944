// The text part of Gemma 3's models of text and images (4B and larger; transformers' Gemma3ForConditionalGeneration): a text config
// inside the config, the text model's tensors below a module of its own. Images are not read; their tensors are kept in saved models.
import * as Schema from "effect/Schema"
import { type HfConfig, newerSpelling } from "#src/formats/hfConfig.ts"
import { decodeConfig, flag, commonFields } from "./config.ts"
import { gemma3TextBelow } from "./gemma3_text.ts"
import type { Model } from "./Model.ts"

// --- config: of the fields outside text_config only these say something about text; the padding token is that of text_config ---

const anything = Schema.optionalKey(Schema.Json)
const Fields = Schema.Struct({
  ...commonFields,
  tie_word_embeddings: flag,
  text_config: Schema.Record(Schema.String, Schema.Json),
  vision_config: anything,
  mm_tokens_per_image: anything,
  boi_token_index: anything,
  eoi_token_index: anything,
  image_token_index: anything,
  initializer_range: anything
})

// --- model ---

const root = "model.language_model"

/** transformers' names of modules, and those that it gives their tensors in files. */
const names: readonly (readonly [own: string, file: string])[] = [
  [`${root}.`, "language_model.model."],
  ["lm_head.", "language_model.lm_head."],
  ["model.vision_tower.", "vision_tower."],
  ["model.multi_modal_projector.", "multi_modal_projector."]
]
const renamed = (name: string, from: 0 | 1): string => {
  const found = names.find((pair) => name.startsWith(pair[from]))
  return found === undefined ? name : `${found[1 - from] as string}${name.slice(found[from].length)}`
}

/** @throws DataError where the config is incomplete or asks for something that is not computed here */
export const gemma3 = (source: HfConfig, where: string): Model => {
  const { text_config: text, bos_token_id, eos_token_id, tie_word_embeddings = true } = decodeConfig(Fields, source, where)
  const outer = Object.entries({ bos_token_id, eos_token_id, tie_word_embeddings }).filter(([, value]) => value !== undefined)
  const fields = { ...newerSpelling(text), ...Object.fromEntries(outer) } as HfConfig["fields"]
  const model = gemma3TextBelow(root, { ...source, fields }, `${where}: text_config`, text)
  return {
    ...model,
    fileNames: { toOwn: (stored) => renamed(stored, 1), toFile: (own) => renamed(own, 0) },
    kept: /^model\.(vision_tower|multi_modal_projector)\./
  }
}
