// Writes a model folder in Hugging Face layout: config.json and model.safetensors, all tensors in one type.
import { join } from "node:path"
import { formatConfig } from "#src/formats/hfConfig.ts"
import type { Model, Weights } from "./Model.ts"
import { writeTensorFile, writeText } from "./weights.ts"

/** The types that a model can be saved in, under transformers' names. */
export const savedDTypes = { float32: "F32", float16: "F16", bfloat16: "BF16" } as const
export type SavedDType = keyof typeof savedDTypes

/**
 * A tied weight is written once, as transformers does, and tensors beside the model's own as they were. The same tensors always
 * give the same bytes.
 */
export const saveModel = async (
  folder: string,
  model: Model,
  weights: Pick<Weights, "read">,
  dtype: SavedDType = "float32"
): Promise<void> => {
  writeText(join(folder, "config.json"), formatConfig(model.configJson, dtype))
  const inFile = model.fileNames?.toFile ?? ((name) => name)
  const tensors = [
    ...model.parameters.map(({ name, shape }) => ({ name: inFile(name), shape, read: () => weights.read(name) })),
    ...(model.besides ?? []).map(({ name, ...beside }) => ({ name: inFile(name), ...beside }))
  ]
  const byName = new Map(tensors.map(({ name, read }) => [name, read]))
  writeTensorFile(join(folder, "model.safetensors"), tensors, (name) => byName.get(name)!(), savedDTypes[dtype])
}
