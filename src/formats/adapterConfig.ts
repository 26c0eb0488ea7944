// adapter_config.json of PEFT: one kind a `peft_type`, each in a file of adapter/. Written with the smallest set of fields,
// because older PEFT releases refuse unknown ones.
import { DataError } from "#src/domain/Errors.ts"
import { type Ia3Config, ia3Json, parseIa3 } from "./adapter/ia3.ts"
import { type LoraConfig, loraJson, parseLora } from "./adapter/lora.ts"
import { parsePrefix, type PrefixConfig, prefixJson } from "./adapter/prefix.ts"
import { parsePrompt, type PromptConfig, promptJson } from "./adapter/prompt.ts"
import { type JsonObject, parseObject } from "./decode.ts"

export type AdapterConfig = LoraConfig | Ia3Config | PrefixConfig | PromptConfig

type PeftType = AdapterConfig["peftType"]

const parsers: { readonly [P in PeftType]: (json: JsonObject, where: string) => Extract<AdapterConfig, { readonly peftType: P }> } = {
  LORA: parseLora,
  IA3: parseIa3,
  PREFIX_TUNING: parsePrefix,
  PROMPT_TUNING: parsePrompt
}

/** @throws DataError naming the field that is wrong or asks for something that anneal does not do */
export const parseAdapterConfig = (text: string, where: string): AdapterConfig => {
  const json = parseObject(text, where)
  const type = json["peft_type"]
  if (typeof type === "string" && Object.hasOwn(parsers, type)) return parsers[type as PeftType](json, where)
  throw new DataError({
    message: `peft_type: ${JSON.stringify(type ?? null)} is not supported`,
    where,
    why: `supported: ${Object.keys(parsers).join(", ")}`,
    hint: "merge the adapter into its base model with PEFT and use that folder"
  })
}

const ownFields = (config: AdapterConfig): JsonObject => {
  switch (config.peftType) {
    case "LORA":
      return loraJson(config)
    case "IA3":
      return ia3Json(config)
    case "PREFIX_TUNING":
      return prefixJson(config)
    case "PROMPT_TUNING":
      return promptJson(config)
  }
}

/**
 * Text of the file; `inference_mode` is true on disk, as PEFT writes it. `revision`: the commit of a base on the hub, which PEFT's
 * AutoPeftModel loads.
 */
export const formatAdapterConfig = (config: AdapterConfig, revision?: string): string => {
  const json: JsonObject = {
    ...ownFields(config),
    base_model_name_or_path: config.baseModel,
    ...(revision === undefined ? {} : { revision }),
    inference_mode: true,
    peft_type: config.peftType,
    task_type: "CAUSAL_LM"
  }
  return `${JSON.stringify(Object.fromEntries(Object.entries(json).toSorted(([a], [b]) => (a < b ? -1 : 1))), null, 2)}\n`
}
