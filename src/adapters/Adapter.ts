// What every tuning method that adds or replaces tensors provides: its tensors under PEFT's names and how they change a model's
// forward pass. An adapter is a graph transformation over a model of any family, never a copy of it.
import type { Value } from "#src/graph/Value.ts"
import type { Hooks, Linear, Parameter, Weights } from "#src/models/Model.ts"

export interface AdapterArgs {
  /** The value that holds a tensor of the adapter or of the model, in its own shape. */
  readonly param: (name: string) => Value
  /** While training with dropout: the input [M, in] of a layer of `dropout`, dropped out. */
  readonly dropout?: (linear: Linear, x: Value) => Value
}

/** A tensor that the adapter's file holds besides the trained ones, as PEFT writes it. */
export interface AlsoSaved {
  readonly name: string
  readonly shape: readonly number[]
  /** The tensor that it is a copy of: one of the adapter's, or one of the model's. */
  readonly of: string
}

export interface Adapter {
  /** The tensors of the adapter, all trained. */
  readonly parameters: readonly Parameter[]
  /** Tensors of the model that one of the adapter's stands in for: the model's name to the adapter's. */
  readonly replaces: ReadonlyMap<string, string>
  readonly alsoSaved?: readonly AlsoSaved[]
  /** Layers whose input to the adapter is dropped out while training, and the share that is dropped. */
  readonly dropout: { readonly linears: readonly Linear[]; readonly share: number }
  readonly hooks: (args: AdapterArgs) => Hooks
  /** A fresh adapter's tensors over the base's weights. */
  readonly initial: (base: Weights, seed: number) => Weights
  /** The model's weights with the adapter worked in; absent where the method has no such form. Computed when a tensor is read. */
  readonly merge?: (base: Weights, own: Weights) => Weights
}
