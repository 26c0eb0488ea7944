// What a training method changes of a model: which tensors are trained, which stay, and how the linear layers compute.
import { initLora, loraLinear, loraParameters, loraTargets } from "#src/adapters/lora.ts"
import type { Method } from "#src/adapters/options.ts"
import type { Value } from "#src/graph/Value.ts"
import type { Linear, LinearHook, Model, Parameter, Weights } from "#src/models/Model.ts"
import { ParamStore } from "./ParamStore.ts"

export interface Tuning {
  readonly trainables: readonly Parameter[]
  readonly frozen: readonly Parameter[]
  /** Layers whose input is dropped out while training, and the share that is dropped. */
  readonly dropout: { readonly linears: readonly Linear[]; readonly share: number }
  /** `mask` gives a layer's dropout mask [M, in], or undefined outside training. */
  readonly linear?: (param: (name: string) => Value, mask: (linear: Linear) => Value | undefined) => LinearHook
}

/** @throws DataError where targetModules names no layer of the model */
export const tuningOf = (model: Model, method: Method): Tuning =>
  method.type === "full"
    ? { trainables: model.parameters, frozen: [], dropout: { linears: [], share: 0 } }
    : {
        trainables: loraParameters(model, method),
        frozen: model.parameters,
        dropout: { linears: loraTargets(model, method), share: method.loraDropout },
        linear: (param, mask) => loraLinear(model, method, param, mask)
      }

/** The weights of a tuning in memory, once each. */
export interface Tuned {
  readonly tuning: Tuning
  readonly store: ParamStore
  readonly frozen: Readonly<Record<string, Float32Array>>
}

/** `accumulates`: a step sums several micro-batches. `seed` is that of an adapter's fresh tensors. */
export const tune = (model: Model, weights: Weights, method: Method, accumulates: boolean, seed: number): Tuned => {
  const tuning = tuningOf(model, method)
  const store = new ParamStore(tuning.trainables, accumulates)
  const initial = method.type === "full" ? weights : initLora(model, method, (seed + method.seed) >>> 0)
  for (const { name, p } of store.trainables) initial.read(name, p)
  return { tuning, store, frozen: Object.fromEntries(tuning.frozen.map(({ name }) => [name, weights.read(name)])) }
}
