// A model folder made ready to run: a base, a fully fine-tuned model or an adapter over its base, all as one set of plain weights.
// Scorer, Generator and export read models through this.
import { existsSync } from "node:fs"
import { join } from "node:path"
import { loadAdapter } from "#src/adapters/peft.ts"
import { mergeLora } from "#src/adapters/lora.ts"
import { DataError } from "#src/domain/Errors.ts"
import type { ModelInfo } from "#src/domain/ModelInfo.ts"
import { loadModel } from "#src/models/load.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { readModelInfo } from "./ModelFolder.ts"

export interface RunnableModel {
  readonly folder: string
  readonly model: Model
  /** Every parameter as float32 by its name, an adapter merged in: graphs are fed with these arrays as they are. */
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
  const { model, weights } = adapted && info !== undefined ? await openAdapter(folder, await findBase(info.base)) : await loadModel(folder)
  return { folder, model, info, parameters: Object.fromEntries(model.parameters.map(({ name }) => [name, weights.read(name)])) }
}

/** Merged, because a step of generation then costs no more than the base's and every reader sees one kind of model. */
const openAdapter = async (folder: string, base: string): Promise<{ readonly model: Model; readonly weights: Weights }> => {
  const { model, weights } = await loadModel(base)
  const adapter = await loadAdapter(folder, model)
  return { model, weights: mergeLora(model, adapter.config, weights, adapter.weights) }
}
