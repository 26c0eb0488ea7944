// Writes a model folder in Hugging Face layout: config.json and model.safetensors, all tensors as float32.
import { join } from "node:path"
import { formatConfig } from "#src/formats/hfConfig.ts"
import type { Model, Weights } from "./Model.ts"
import { writeTensorFile, writeText } from "./weights.ts"

/** A tied weight is written once, as transformers does. The same tensors always give the same bytes. */
export const saveModel = async (folder: string, model: Model, weights: Pick<Weights, "read">): Promise<void> => {
  writeText(join(folder, "config.json"), formatConfig(model.configJson))
  writeTensorFile(join(folder, "model.safetensors"), model.parameters, (name) => weights.read(name))
}
