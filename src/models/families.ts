// The table of model families by config.json's `model_type`. A family is one file of this folder.
import { DataError } from "#src/domain/Errors.ts"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { llama } from "./llama.ts"
import type { Model } from "./Model.ts"

type Family = (config: HfConfig, where: string) => Model

const families: Readonly<Record<string, Family>> = { llama }

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
