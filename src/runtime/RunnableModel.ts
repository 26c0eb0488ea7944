// A model folder made ready to run: a base, a fully fine-tuned model or an adapter over its base, all as one set of plain weights.
// Scorer, Generator and export read models through this.
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Adapter } from "#src/adapters/Adapter.ts"
import { loadAdapter } from "#src/adapters/peft.ts"
import { DataError } from "#src/domain/Errors.ts"
import type { ModelInfo } from "#src/domain/ModelInfo.ts"
import { loadModel } from "#src/models/load.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { readModelInfo } from "./ModelFolder.ts"

export interface RunnableModel {
  readonly folder: string
  readonly model: Model
  /** One that cannot be merged into the model's own tensors: its graphs are built with it. */
  readonly adapter?: Adapter
  /** Every tensor as float32 by its name, the adapter's too where it has one, else merged in: graphs are fed with these arrays as they are. */
  readonly parameters: Readonly<Record<string, Float32Array>>
  /** anneal.json; undefined for a folder that anneal did not train. */
  readonly info: ModelInfo | undefined
}

/** Gives the folder of an adapter's base, having made sure that it is the one with this digest. @throws DataError */
export type FindBase = (base: ModelInfo["base"]) => Promise<string>

/** Reads a model folder's weights, all of them. @throws DataError where the folder is damaged or an adapter's base is gone */
export const openModel = async (folder: string, findBase: FindBase): Promise<RunnableModel> => {
  const info = await readModelInfo(folder)
  const adapted = existsSync(join(folder, "adapter_config.json"))
  if (adapted && info === undefined) {
    throw new DataError({
      message: "the folder holds an adapter, but no anneal.json that says over which base",
      where: folder,
      hint: "give the folder of a model that anneal trained, or of a whole model"
    })
  }
  const opened = adapted && info !== undefined ? await openAdapter(folder, await findBase(info.base)) : await loadModel(folder)
  return { folder, info, ...withParameters(opened) }
}

interface Opened {
  readonly model: Model
  readonly weights: Weights
  readonly adapter?: { readonly adapter: Adapter; readonly weights: Weights }
}

const withParameters = ({ model, weights, adapter }: Opened): Pick<RunnableModel, "model" | "adapter" | "parameters"> => {
  const read = (from: Weights, names: readonly { readonly name: string }[]): Record<string, Float32Array> =>
    Object.fromEntries(names.map(({ name }) => [name, from.read(name)]))
  if (adapter === undefined) return { model, parameters: read(weights, model.parameters) }
  const kept = model.parameters.filter(({ name }) => !adapter.adapter.replaces.has(name))
  const parameters = { ...read(weights, kept), ...read(adapter.weights, adapter.adapter.parameters) }
  return { model, adapter: adapter.adapter, parameters }
}

/** Merged where the method can be, because a step of generation then costs no more than the base's. */
const openAdapter = async (folder: string, base: string): Promise<Opened> => {
  const { model, weights } = await loadModel(base)
  const loaded = await loadAdapter(folder, model)
  const under = loaded.overBase(weights)
  const merged = loaded.adapter.merge?.(under, loaded.weights)
  return merged === undefined ? { model, weights: under, adapter: loaded } : { model, weights: merged }
}
