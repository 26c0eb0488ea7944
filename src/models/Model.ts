// What every model family provides: its parameters under Hugging Face's names and a function that builds its forward graph.
import type { GraphBuilder, Value } from "#src/graph/Value.ts"
import type { JsonObject } from "#src/formats/decode.ts"

/** How a fresh tensor is filled. `zeroRow`: a row of a normal one that starts as zeros (padding). Uniform is over (-bound, bound). */
export type Init =
  | { readonly kind: "normal"; readonly std: number; readonly zeroRow?: number }
  | { readonly kind: "uniform"; readonly bound: number }
  | { readonly kind: "constant"; readonly value: number }

/** A tensor that can be trained. */
export interface Parameter {
  /** Name of the tensor in the safetensors file. */
  readonly name: string
  /** In PyTorch's layout: a linear layer's weight is [out, in]. */
  readonly shape: readonly number[]
  /** Whether weight decay applies, as in transformers' Trainer: not to norms and biases. */
  readonly decay: boolean
  readonly init: Init
  /** Another name under which a file may hold the same tensor (a tied output head). */
  readonly alias?: string
}

/** A linear layer without the output head: what an adapter can change. Its weight is the parameter `${path}.weight`. */
export interface Linear {
  /** Module path, e.g. "model.layers.0.self_attn.q_proj". */
  readonly path: string
  readonly inFeatures: number
  readonly outFeatures: number
}

/** y [M, out] of x [M, in] and the layer's own weight [out, in], without its bias. */
export type LinearHook = (x: Value, linear: Linear, weight: Value) => Value

/** Keys and values of one layer, [B, KV, T, hd]; keys are rotated already. */
export interface KeyValue {
  readonly key: Value
  readonly value: Value
}

/** Earlier positions that the new tokens may look back on. C = cached places, T = new tokens. */
export interface Cache {
  /** Per layer [B, KV, C, hd]. */
  readonly keys: readonly Value[]
  readonly values: readonly Value[]
  /** float32 [B, 1, T, C + T], added to the scores: 0 where a new token may look, a large negative number elsewhere. */
  readonly mask: Value
  /** int64 [B, T]: positions of the new tokens, each below C + T. */
  readonly positions: Value
}

export interface BuildArgs {
  /** int64 [B, T]. */
  readonly inputIds: Value
  /** The value that holds a parameter, in its own shape. */
  readonly param: (name: string) => Value
  /** Replaces x W^T, for adapters. */
  readonly linear?: LinearHook
  /** int64 [S]: flat positions b * T + t whose logits are wanted; the head runs on these only. */
  readonly select?: Value
  /** Without it: causal attention over positions 0 .. T-1. Rows are padded on the right, so padding needs no mask. */
  readonly cache?: Cache
}

export interface Built {
  /** [B * T, V], or [S, V] with `select`. */
  readonly logits: Value
  /** Per layer, of the new tokens only: [B, KV, T, hd]. */
  readonly present: readonly KeyValue[]
  /** [B * T, hidden_size]: the input of each block, then the output of the last one, before the final norm. */
  readonly hidden: readonly Value[]
}

/** Fields of config.json that the rest of anneal needs, under Hugging Face's names; a family's own config has more. */
export interface ModelConfig {
  readonly model_type: string
  readonly vocab_size: number
  readonly hidden_size: number
  readonly num_hidden_layers: number
  readonly num_attention_heads: number
  readonly num_key_value_heads: number
  readonly head_dim: number
  readonly max_position_embeddings: number
  readonly tie_word_embeddings: boolean
  readonly bos_token_id: number | null
  readonly eos_token_id: number | readonly number[] | null
  readonly pad_token_id: number | null
}

export interface Model {
  readonly modelType: string
  readonly config: ModelConfig
  /** config.json as it was read, for writing it again. */
  readonly configJson: JsonObject
  readonly vocabSize: number
  readonly parameters: readonly Parameter[]
  readonly linears: readonly Linear[]
  /** Names of tensors that a file may hold besides and that are not needed (buffers of older releases). */
  readonly ignored: RegExp
  readonly build: (graph: GraphBuilder, args: BuildArgs) => Built
}

/** Tensors by name as float32. `read` fills `into` where given (its length must fit) and returns it. */
export interface Weights {
  readonly has: (name: string) => boolean
  /** @throws DataError where the file cannot be read or has no such tensor */
  readonly read: (name: string, into?: Float32Array) => Float32Array
}
