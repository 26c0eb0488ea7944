// What every model family provides: its parameters under Hugging Face's names and a function that builds its forward graph.
import type { Shape } from "#src/graph/Type.ts"
import type { GraphBuilder, Value } from "#src/graph/Value.ts"
import type { QuantizedWeight } from "#src/formats/bitsandbytes/quantized.ts"
import type { StoredTensor } from "./weights.ts"
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
  /** Factor of the training's learning rate; default 1. */
  readonly learningRateScale?: number
  readonly init: Init
  /** Another name under which a file may hold the same tensor (a tied output head). */
  readonly alias?: string
}

/** A linear layer: what an adapter can change. Its parameters are `${path}.weight` and, with `bias`, `${path}.bias`. */
export interface Linear {
  /** Module path, e.g. "model.layers.0.self_attn.q_proj". */
  readonly path: string
  readonly inFeatures: number
  readonly outFeatures: number
  readonly bias: boolean
  /** The weight is stored [in, out] (GPT-2's Conv1D) instead of [out, in]. */
  readonly transposed?: boolean
}

/** One use of a linear layer. */
export interface LinearCall {
  readonly layer: Linear
  /** [M, in] */
  readonly x: Value
  /** [out, in], or [in, out] where the layer is `transposed`. */
  readonly weight: Value
  /** [out] */
  readonly bias: Value | undefined
}

/** Places besides the adapters' own where activations may be dropped out, as transformers names them. */
export type DropoutSite =
  | { readonly kind: "embedding" }
  | { readonly kind: "residual"; readonly path: string }
  /** `shape`: of all weights of the layer, [B, H, T, places]; `part`: those of such a tensor that are dropped out here. */
  | { readonly kind: "attention"; readonly path: string; readonly shape: Shape; readonly part: (whole: Value) => Value }

/** What an adapter or a training option changes of a forward pass; without them a model computes what its family defines. */
export interface Hooks {
  /** Computes a linear layer, the output head included: y [M, out], with its bias. linear.ts has the plain way. */
  readonly linear?: (call: LinearCall) => Value
  /**
   * The embedding of ids [M] as [M, hidden_size]. `plain` is the family's own, `scaled` the family's change of looked-up rows
   * (a factor in some), which `plain` has had.
   */
  readonly embedding?: (ids: Value, plain: Value, scaled: (rows: Value) => Value) => Value
  /** Keys and values that stand in front of each layer's own, [B, KV, P, hd]; positions of the tokens begin at P. Cached places hold them already. */
  readonly prefix?: { readonly length: number; readonly keyValue: (layer: number, batch: number) => KeyValue }
  /** Rows [P, hidden_size] that stand in front of every row's embeddings, as if they were tokens of their own. Not again behind cached places. */
  readonly virtualTokens?: Value
  /** attention: a part of [B, H, T, places], after the softmax; else [B * T, hidden_size]. */
  readonly dropout?: (site: DropoutSite, x: Value) => Value
  /** The hooks take [B * T, width] in every layer: the last one works on all places too, also where the logits of some are wanted. */
  readonly everyPlace?: boolean
}

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
  readonly hooks?: Hooks
  /** int64 [S]: flat positions b * T + t whose logits are wanted; the head runs on these only. */
  readonly select?: Value
  /** Without it: causal attention over positions 0 .. T-1. Rows are padded on the right, so padding needs no mask. */
  readonly cache?: Cache
  /** Several documents in a row: attention stays within each. Not together with `cache` or virtual tokens. */
  readonly packing?: Packing
}

/** Documents side by side in rows of T places. */
export interface Packing {
  /** int64 [B, T]: each place's position within its document, from 0. */
  readonly positions: Value
  /** int64 [B, T]: the number of its document; padding has one of its own. */
  readonly segments: Value
  /** So many places at the start of each row belong to all of its documents. Default 0. */
  readonly commonPrefix?: number
}

export interface Built {
  /** The last block's output after the final norm, [B * T, hidden_size], or [S, hidden_size] with `select`. */
  readonly final: Value
  /** Logits [M, V] of rows [M, hidden_size] of `final`: for a loss that works on a few rows at a time. */
  readonly head: (rows: Value) => Value
  /** head(final). Nodes that nothing reads are left out of a model, so it costs nothing where it is not used. */
  readonly logits: Value
  /** Per layer, what later tokens look back on: of prefix or virtual tokens and the new ones, [B, KV, P + T, hd]; with `cache` of the new ones alone. */
  readonly present: readonly KeyValue[]
  /** [B * T, hidden_size]: the input of each block, then the output of the last one, before the final norm; of the places of `select` alone, but for `everyPlace`. */
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
  /** Its row of the embedding gets no gradient where it is looked up (PyTorch's padding_idx); null where a family trains it. */
  readonly pad_token_id: number | null
}

/** Shares that the config names for transformers' training. anneal drops out what the train stage's options say. */
export interface ConfigDropout {
  readonly attention: number
  readonly residual: number
  readonly embedding: number
}

/** PEFT's defaults per family (utils/constants.py: TRANSFORMERS_MODELS_TO_*_TARGET_MODULES_MAPPING). */
export interface AdapterTargets {
  readonly lora: readonly string[]
  /** `feedforward` are those of `ia3` whose input is scaled instead of their output. */
  readonly ia3: readonly string[]
  readonly ia3Feedforward: readonly string[]
}

/** How a family's files name tensors where that is not as transformers names the modules. */
export interface FileNames {
  readonly toOwn: (stored: string) => string
  readonly toFile: (own: string) => string
}

/** A tensor that lies in a model's file, but is no part of what anneal computes. */
export interface Beside {
  readonly name: string
  readonly shape: readonly number[]
  /** @throws DataError where it cannot be read as float32 */
  readonly read: () => Float32Array
}

export interface Model {
  readonly modelType: string
  readonly config: ModelConfig
  /** config.json as it was read, for writing it again. */
  readonly configJson: JsonObject
  readonly vocabSize: number
  readonly parameters: readonly Parameter[]
  /** Of the blocks, in the order of the forward pass: what "all-linear" means. */
  readonly linears: readonly Linear[]
  /** The output head. Its weight is the embedding's where `tie_word_embeddings` is set. */
  readonly head: Linear
  /** Module path of the token embedding. */
  readonly embedding: string
  /** Modules that PEFT adapts where none are named, by the last part of their path. */
  readonly targets: AdapterTargets
  readonly dropout: ConfigDropout
  /** Longer rows cannot be read, because positions are learned. */
  readonly positionLimit?: number
  readonly fileNames?: FileNames
  /** Names of tensors that a file may hold besides and that are not needed (buffers of older releases). */
  readonly ignored: RegExp
  /** Names of tensors that a file may hold besides and that a whole model keeps when it is saved (an image encoder's). */
  readonly kept?: RegExp
  /** Those, where the model was read with its weights. */
  readonly besides?: readonly Beside[]
  readonly build: (graph: GraphBuilder, args: BuildArgs) => Built
}

/** Tensors by name as float32. `read` fills `into` where given (its length must fit) and returns it. */
export interface Weights {
  readonly has: (name: string) => boolean
  /** @throws DataError where the file cannot be read or has no such tensor */
  readonly read: (name: string, into?: Float32Array) => Float32Array
  /** Its 4-bit form, [out, in], where it has one; `read` gives the values of it. */
  readonly quantized?: (name: string) => QuantizedWeight | undefined
  /** Where it lies in a file, as plain numbers of which `read` gives the float32 values. */
  readonly stored?: (name: string) => StoredTensor | undefined
}
