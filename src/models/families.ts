// The table of model families by config.json's `model_type`. A family is one file of this folder.
import { DataError } from "#src/domain/Errors.ts"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { gemma3 } from "./gemma3.ts"
import { gemma3Text } from "./gemma3_text.ts"
import { gpt2 } from "./gpt2.ts"
import { llama } from "./llama.ts"
import { mistral } from "./mistral.ts"
import type { Model } from "./Model.ts"
import { phi3 } from "./phi3.ts"
import { qwen2 } from "./qwen2.ts"
import { qwen3 } from "./qwen3.ts"
import { smollm3 } from "./smollm3.ts"

type Family = (config: HfConfig, where: string) => Model

const families: Readonly<Record<string, Family>> = { gemma3, gemma3_text: gemma3Text, gpt2, llama, mistral, phi3, qwen2, qwen3, smollm3 }

/** @throws DataError where the family is unknown or the config asks for something that it does not do */
export const modelOf = (config: HfConfig, where: string): Model => {
  const family = Object.hasOwn(families, config.modelType) ? families[config.modelType] : undefined
  if (family !== undefined) return family(config, where)
  throw new DataError({
    message: `unknown model_type "${config.modelType}"`,
    where,
    why: `supported: ${Object.keys(families).join(", ")}`,
    hint: "use a base model of a supported family"
  })
}
