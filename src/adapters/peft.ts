// Adapter folders in PEFT's own format: adapter_config.json and adapter_model.safetensors. The one place that knows all kinds.
import { join } from "node:path"
import { type AdapterConfig, formatAdapterConfig, parseAdapterConfig } from "#src/formats/adapterConfig.ts"
import { bindTensors } from "#src/models/load.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { openTensorFile, readText, writeTensorFile, writeText } from "#src/models/weights.ts"
import type { Adapter } from "./Adapter.ts"
import { ia3Adapter, ia3ConfigOf } from "./ia3.ts"
import { loraAdapter, loraConfigOf } from "./lora.ts"
import type { AdapterMethod } from "./options.ts"

const configFile = "adapter_config.json"
const tensorFile = "adapter_model.safetensors"

export interface LoadedAdapter {
  readonly config: AdapterConfig
  readonly adapter: Adapter
  readonly weights: Weights
}

/** A training method as the config that its result is saved with. `baseModel` is the base's folder or name. */
export const configOf = (model: Model, method: AdapterMethod, baseModel: string): AdapterConfig => {
  switch (method.type) {
    case "lora":
      return loraConfigOf(model, method, baseModel)
    case "ia3":
      return ia3ConfigOf(model, method, baseModel)
  }
}

/** What a config says, over a model. @throws DataError where it does not fit the model */
export const adapterOf = (model: Model, config: AdapterConfig): Adapter => {
  switch (config.peftType) {
    case "LORA":
      return loraAdapter(model, config)
    case "IA3":
      return ia3Adapter(model, config)
  }
}

/** Reads an adapter of `model`. @throws DataError where it is damaged, of another model, or more than anneal does */
export const loadAdapter = async (folder: string, model: Model): Promise<LoadedAdapter> => {
  const where = join(folder, configFile)
  const config = parseAdapterConfig(readText(where), where)
  const path = join(folder, tensorFile)
  const adapter = adapterOf(model, config)
  return { config, adapter, weights: bindTensors(adapter.parameters, openTensorFile(path), [], path) }
}

/** Writes an adapter that PEFT loads. The same tensors always give the same bytes. */
export const saveAdapter = async (folder: string, model: Model, config: AdapterConfig, weights: Pick<Weights, "read">): Promise<void> => {
  writeText(join(folder, configFile), formatAdapterConfig(config))
  writeTensorFile(join(folder, tensorFile), adapterOf(model, config).parameters, (name) => weights.read(name))
}
