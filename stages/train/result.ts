// Writes what was trained in the format of its method: a whole model, or an adapter as PEFT saves it.
import { configOf, saveAdapter } from "#src/adapters/peft.ts"
import { baseName, type ModelInfo } from "#src/domain/ModelInfo.ts"
import type { Method } from "#src/adapters/options.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { saveModel } from "#src/models/save.ts"
import type { ParamStore } from "#src/runtime/ParamStore.ts"

/** `base`: as adapter_config.json names it; `start` its weights, for those that were not trained. */
export const saveResult = (
  folder: string,
  model: Model,
  method: Method,
  { trainables }: ParamStore,
  start: Weights,
  base: ModelInfo["base"]
): Promise<void> => {
  const trained = new Map(trainables.map(({ name, p }) => [name, p]))
  const weights = { read: (name: string) => trained.get(name) ?? start.read(name) }
  return method.type === "full"
    ? saveModel(folder, model, weights)
    : saveAdapter(folder, model, configOf(model, method, baseName(base)), weights, weights, base.hub?.commit)
}
