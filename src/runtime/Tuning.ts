// What a training method makes of a model: which tensors are trained, which stay, and how the forward pass changes.
import type { Adapter } from "#src/adapters/Adapter.ts"
import type { Method } from "#src/adapters/options.ts"
import { adapterOf, configOf } from "#src/adapters/peft.ts"
import type { Model, Parameter, Weights } from "#src/models/Model.ts"
import { freeze, type Frozen } from "./Frozen.ts"
import { ParamStore } from "./ParamStore.ts"

export interface Tuning {
  readonly trainables: readonly Parameter[]
  readonly frozen: readonly Frozen[]
  /** Absent where the model's own tensors are trained. */
  readonly adapter?: Adapter
}

/** @throws DataError where the method asks for layers that the model does not have */
export const tuningOf = (model: Model, weights: Weights, method: Method): Tuning => {
  if (method.type === "full") return { trainables: model.parameters, frozen: [] }
  const adapter = adapterOf(model, configOf(model, method, ""))
  const kept = model.parameters.filter(({ name }) => !adapter.replaces.has(name))
  return { trainables: adapter.parameters, frozen: freeze(model, kept, weights), adapter }
}

/** The weights of a tuning in memory, once each. */
export interface Tuned {
  readonly tuning: Tuning
  readonly store: ParamStore
}

/** `accumulates`: a step sums several micro-batches. `seed` is that of an adapter's fresh tensors. */
export const tune = (model: Model, weights: Weights, method: Method, accumulates: boolean, seed: number): Tuned => {
  const tuning = tuningOf(model, weights, method)
  const store = new ParamStore(tuning.trainables, accumulates)
  const own = "seed" in method ? method.seed : 0
  const initial = tuning.adapter?.initial(weights, (seed + own) >>> 0) ?? weights
  for (const { name, p } of store.trainables) initial.read(name, p)
  return { tuning, store }
}
