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

/** What a base makes of n tokens of a text that it reads from its first position. */
export interface TextReading {
  /** [n, hidden_size], after the family's own factor. */
  readonly embeddings: Float32Array
  /** Per layer [KV, n, hd]; keys are rotated. */
  readonly keys: readonly Float32Array[]
  readonly values: readonly Float32Array[]
}

/** The form of an adapter's tensors that PEFT saves, where it is another one than the trained one. */
export interface SavedForm {
  /** Over the saved tensors; computes the same. */
  readonly adapter: Adapter
  readonly encode: (own: Pick<Weights, "read">) => Weights
  /** The trained tensors; absent where they cannot be told from the saved ones. */
  readonly decode?: (saved: Weights) => Weights
}

export interface Adapter {
  /** The tensors of the adapter, all trained. */
  readonly parameters: readonly Parameter[]
  /** Places that a prefix or virtual tokens take in front of every row; default 0. */
  readonly numVirtualTokens?: number
  /** Tensors of the model that one of the adapter's stands in for: the model's name to the adapter's. */
  readonly replaces: ReadonlyMap<string, string>
  readonly alsoSaved?: readonly AlsoSaved[]
  /** Default: the trained tensors are saved. */
  readonly saved?: SavedForm
  /** For a method that can begin from a text: which of its tokens the base must read, and the tensors from what it makes of them. */
  readonly fromText?: {
    /** @throws DataError where there are too few */
    readonly tokens: (ids: readonly number[]) => readonly number[]
    readonly initial: (reading: TextReading) => Weights
  }
  /** Layers whose input to the adapter is dropped out while training, and the share that is dropped. */
  readonly dropout: { readonly linears: readonly Linear[]; readonly share: number }
  readonly hooks: (args: AdapterArgs) => Hooks
  /** A fresh adapter's tensors over the base's weights. */
  readonly initial: (base: Weights, seed: number) => Weights
  /** The model's weights with the adapter worked in; absent where the method has no such form. Computed when a tensor is read. */
  readonly merge?: (base: Weights, own: Weights) => Weights
}
