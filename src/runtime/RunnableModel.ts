// A model folder made ready to run: a base, a fully fine-tuned model or an adapter over its base, all as one set of weights.
// Scorer, Generator and export read models through this.
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Adapter } from "#src/adapters/Adapter.ts"
import { loadAdapter } from "#src/adapters/peft.ts"
import { DataError } from "#src/domain/Errors.ts"
import type { ModelInfo } from "#src/domain/ModelInfo.ts"
import { loadModel } from "#src/models/load.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { dequantisedWeights } from "#src/models/quantized.ts"
import { freeze, type Frozen } from "./Frozen.ts"
import { readModelInfo } from "./ModelFolder.ts"

/** What a graph is built from and fed with. */
export interface Runnable {
  readonly model: Model
  /** One that is not merged into the model's own tensors: its graphs are built with it. */
  readonly adapter?: Adapter
  /** Every tensor that `model` and `adapter` read, in the form in which it lies in memory. */
  readonly parameters: readonly Frozen[]
}

export interface RunnableModel extends Runnable {
  readonly folder: string
  /** anneal.json; undefined for a folder that anneal did not train. */
  readonly info: ModelInfo | undefined
}

/** Gives the folder of an adapter's base, having made sure that it is the one with this digest. @throws DataError */
export type FindBase = (base: ModelInfo["base"]) => Promise<string>

/** Reads a model folder's weights, all of them. @throws DataError where the folder is damaged or an adapter's base is gone */
export const openModel = async (folder: string, findBase: FindBase): Promise<RunnableModel> => {
  const info = await readModelInfo(folder)
  const adapted = existsSync(join(folder, "adapter_config.json"))
  const opened = adapted ? runnable(await openAdapter(folder, findBase)) : await loadModel(folder)
  return { folder, info, ...withParameters(opened) }
}

/** An adapter worked into its base: a whole model, each tensor computed when it is read. @throws DataError where its method has no such form */
export const openMerged = async (folder: string, findBase: FindBase): Promise<Pick<Opened, "model" | "weights">> => {
  const { model, weights, adapter } = await openAdapter(folder, findBase)
  const merged = adapter.adapter.merge?.(weights, adapter.weights)
  if (merged !== undefined) return { model, weights: merged }
  throw new DataError({ message: "an adapter of this method cannot be worked into its base", where: folder, hint: "use it as an adapter" })
}

interface Opened {
  readonly model: Model
  readonly weights: Weights
  readonly adapter?: { readonly adapter: Adapter; readonly weights: Weights }
}

const withParameters = ({ model, weights, adapter }: Opened): Runnable => {
  if (adapter === undefined) return { model, parameters: freeze(model.parameters, weights) }
  const kept = model.parameters.filter(({ name }) => !adapter.adapter.replaces.has(name))
  return { model, adapter: adapter.adapter, parameters: [...freeze(kept, weights), ...freeze(adapter.adapter.parameters, adapter.weights)] }
}

interface Adapted extends Opened {
  readonly adapter: NonNullable<Opened["adapter"]>
}

/** An adapter and the base that it was trained over. */
const openAdapter = async (folder: string, findBase: FindBase): Promise<Adapted> => {
  const info = await readModelInfo(folder)
  if (info === undefined) {
    throw new DataError({
      message: "the folder holds an adapter, but no anneal.json that says over which base",
      where: folder,
      hint: "give the folder of a model that anneal trained, or of a whole model"
    })
  }
  const { model, weights } = await loadModel(await findBase(info.base))
  const loaded = await loadAdapter(folder, model)
  return { model, weights: loaded.overBase(trainedOver(model, weights, info)), adapter: loaded }
}

/** The base with the values that it had while the adapter was trained. */
const trainedOver = (model: Model, weights: Weights, { quantization }: ModelInfo): Weights =>
  quantization === undefined || weights.quantized !== undefined ? weights : dequantisedWeights(model, weights, quantization)

/**
 * Merged where the method can be, because a step of generation then costs no more than the base's. Not over a base that is stored in
 * 4 bits, because the result would take eight times its memory.
 */
const runnable = ({ model, weights, adapter }: Adapted): Opened => {
  const merged = weights.quantized === undefined ? adapter.adapter.merge?.(weights, adapter.weights) : undefined
  return merged === undefined ? { model, weights, adapter } : { model, weights: merged }
}
