// Adapter folders in PEFT's own format: adapter_config.json and adapter_model.safetensors.
import { join } from "node:path"
import { formatAdapterConfig, parseAdapterConfig } from "#src/formats/adapterConfig.ts"
import type { AdapterConfig } from "#src/formats/adapterConfig.ts"
import { bindTensors } from "#src/models/load.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { openTensorFile, readText, writeTensorFile, writeText } from "#src/models/weights.ts"
import type { Adapter } from "./Adapter.ts"
import { loraAdapter, loraTargets } from "./lora.ts"

const configFile = "adapter_config.json"
const tensorFile = "adapter_model.safetensors"

export interface LoadedAdapter {
  readonly config: AdapterConfig
  readonly adapter: Adapter
  readonly weights: Weights
}

/** What a saved config says, over a model. @throws DataError where it does not fit the model */
export const adapterOf = (model: Model, config: AdapterConfig): Adapter => loraAdapter(model, config)

/** Reads an adapter of `model`. @throws DataError where it is damaged, of another model, or more than plain LoRA */
export const loadAdapter = async (folder: string, model: Model): Promise<LoadedAdapter> => {
  const where = join(folder, configFile)
  const config = parseAdapterConfig(readText(where), where)
  const path = join(folder, tensorFile)
  const adapter = adapterOf(model, config)
  return { config, adapter, weights: bindTensors(adapter.parameters, openTensorFile(path), [], path) }
}

/** Writes an adapter that PEFT loads. `baseModel` is the base's folder or name. The same tensors always give the same bytes. */
export const saveAdapter = async (folder: string, model: Model, config: AdapterConfig, weights: Pick<Weights, "read">): Promise<void> => {
  const modules = new Set(loraTargets(model, config).map(({ path }) => path.split(".").at(-1) as string))
  const targetModules = config.targetModules === "all-linear" ? [...modules].toSorted() : config.targetModules
  writeText(join(folder, configFile), formatAdapterConfig({ ...config, targetModules }))
  writeTensorFile(join(folder, tensorFile), adapterOf(model, config).parameters, (name) => weights.read(name))
}
