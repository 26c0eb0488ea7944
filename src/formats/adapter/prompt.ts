// adapter_config.json of prompt tuning (PEFT's PromptTuningConfig).
import * as Schema from "effect/Schema"
import type { JsonObject } from "../decode.ts"
import { given, orNull, readFields } from "./fields.ts"
import { type Geometry, geometryFields, geometryJson, geometryOf } from "./geometry.ts"

const PromptFields = Schema.Struct({
  ...geometryFields,
  prompt_tuning_init: orNull(Schema.Literals(["TEXT", "SAMPLE_VOCAB", "RANDOM"])),
  prompt_tuning_init_text: orNull(Schema.String)
})

/** `tokenDim` is the base's hidden_size. */
export interface PromptConfig extends Geometry {
  readonly peftType: "PROMPT_TUNING"
  /** The text whose tokens the virtual ones began as. */
  readonly initText?: string
}

/** @throws DataError */
export const parsePrompt = (json: JsonObject, where: string): PromptConfig => {
  // The tokenizer was that of the text: what came of it is in the tensors.
  const fields = readFields(PromptFields, json, where, { tokenizer_name_or_path: [], tokenizer_kwargs: [] })
  const text = fields.prompt_tuning_init === "TEXT" ? (fields.prompt_tuning_init_text ?? undefined) : undefined
  return { peftType: "PROMPT_TUNING", ...geometryOf(fields), ...given("initText", text) }
}

/** PEFT wants to be told a tokenizer where there is a text: the base's. */
export const promptJson = (config: PromptConfig): JsonObject => ({
  ...geometryJson(config),
  ...(config.initText === undefined
    ? { prompt_tuning_init: "RANDOM" }
    : { prompt_tuning_init: "TEXT", prompt_tuning_init_text: config.initText, tokenizer_name_or_path: config.baseModel })
})
