// What a training method changes of a model: which tensors are trained, which stay, and how the linear layers compute.
import type { Method } from "#src/adapters/options.ts"
import type { Value } from "#src/graph/Value.ts"
import type { Linear, LinearHook, Model, Parameter } from "#src/models/Model.ts"

export interface Tuning {
  readonly trainables: readonly Parameter[]
  readonly frozen: readonly Parameter[]
  /** Layers whose input is dropped out while training, and the share that is dropped. */
  readonly dropout: { readonly linears: readonly Linear[]; readonly share: number }
  /** `mask` gives a layer's dropout mask [M, in], or undefined outside training. */
  readonly linear?: (param: (name: string) => Value, mask: (linear: Linear) => Value | undefined) => LinearHook
}

export const tuningOf = (model: Model, method: Method): Tuning => {
  if (method.type === "full") return { trainables: model.parameters, frozen: [], dropout: { linears: [], share: 0 } }
  throw new Error("lora")
}
