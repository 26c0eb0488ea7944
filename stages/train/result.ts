// Writes what was trained in the format of its method: a whole model, or an adapter as PEFT saves it.
import { configOf, saveAdapter } from "#src/adapters/peft.ts"
import type { Method } from "#src/adapters/options.ts"
import type { Model } from "#src/models/Model.ts"
import { saveModel } from "#src/models/save.ts"
import type { Tuned } from "#src/runtime/Tuning.ts"

/** `base` is the base model's folder or its name on the hub, as adapter_config.json names it. */
export const saveResult = (folder: string, model: Model, method: Method, { store, frozen }: Tuned, base: string): Promise<void> => {
  const tensors = new Map([...Object.entries(frozen), ...store.trainables.map(({ name, p }) => [name, p] as const)])
  const weights = { read: (name: string) => tensors.get(name) as Float32Array }
  return method.type === "full"
    ? saveModel(folder, model, weights)
    : saveAdapter(folder, model, configOf(model, method, base), weights, weights)
}
