// Going on from an adapter: that it is one, over this base, and the one that the method trains. All from files' heads; no weight is read.
import { configDifference } from "#src/adapters/difference.ts"
import { configOf, type LoadedAdapter, loadAdapter } from "#src/adapters/peft.ts"
import { DataError, DefinitionError } from "#src/domain/Errors.ts"
import type { InputArtifact } from "#src/domain/StageContext.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { isAdapterFolder, readModelInfo } from "#src/runtime/ModelFolder.ts"
import type { TrainConfig } from "./stage.ts"

export interface Start extends Pick<LoadedAdapter, "overBase"> {
  /** The adapter's tensors as they are trained. */
  readonly weights: Weights
}

/** @throws DataError where the folder holds no adapter, one of another base, or one that the method does not train */
export const startFrom = async (
  adapter: InputArtifact,
  base: InputArtifact,
  model: Model,
  { method, initialWeights }: TrainConfig
): Promise<Start> => {
  if (method.type === "full" || initialWeights === "random") {
    throw new DefinitionError({
      message: `an adapter is wired in, but ${method.type === "full" ? "the method is full()" : 'initialWeights is "random"'}`,
      where: "train.adapter",
      hint: "train with the adapter's own method over its base, or leave the adapter out"
    })
  }
  if (!isAdapterFolder(adapter.path)) {
    throw new DataError({
      message: "the folder holds no adapter",
      where: `input adapter, ${adapter.path}`,
      why: "it has no adapter_config.json",
      hint: "wire in a train stage whose method is an adapter, or adapterFolder(path)"
    })
  }
  const info = await readModelInfo(adapter.path)
  if (info !== undefined && info.base.digest !== base.digest) {
    throw new DataError({
      message: "the adapter was trained over another base",
      where: "input adapter",
      why: `trained over ${info.base.path} (${info.base.digest}), the base is ${base.path} (${base.digest})`,
      hint: "wire in the base of that training"
    })
  }
  const loaded = await loadAdapter(adapter.path, model)
  const difference = configDifference(model, loaded.config, configOf(model, method, ""))
  if (difference !== undefined) {
    const { field, a, b } = difference
    throw new DataError({
      message: `the adapter is not what the method trains: ${field} is ${JSON.stringify(a)} there, ${JSON.stringify(b)} in the method`,
      where: "input adapter",
      hint: `give the method the adapter's options`
    })
  }
  const { trained: weights, overBase } = loaded
  if (weights !== undefined) return { weights, overBase }
  throw new DataError({
    message: "the adapter can be used, but not trained further",
    where: `input adapter, ${adapter.path}`,
    why: "its file holds what the projection made, not the projection; anneal keeps that in encoder.safetensors beside it, PEFT does not",
    hint: "wire in a folder that anneal wrote, or train from the beginning"
  })
}
