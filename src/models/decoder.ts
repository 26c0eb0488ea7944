// The frame that every family's parts are set in: from embedding over the blocks to the output head, and the tensors of all that.
import type { HfConfig } from "#src/formats/hfConfig.ts"
import type { DType } from "#src/graph/Type.ts"
import type { GraphBuilder, Value } from "#src/graph/Value.ts"
import type { Attended, Attention } from "./attention.ts"
import { embed, type EmbedOptions } from "./embed.ts"
import { linearOf, plainLinear } from "./linear.ts"
import type { BuildArgs, Built, ConfigDropout, KeyValue, Linear, Model, ModelConfig, Parameter } from "./Model.ts"

/** What all parts of one forward pass share. Activations are [B * T, width]. */
export interface Context {
  readonly graph: GraphBuilder
  readonly dtype: DType
  readonly param: (name: string) => Value
  readonly linear: (path: string, x: Value) => Value
  readonly attention: Attention
  /** What is left of [B * T, width] after the attention of `layer`: behind the last one the places alone whose logits are wanted. */
  readonly wanted: (layer: number, x: Value) => Value
}

export interface Family extends Omit<Model, "modelType" | "configJson" | "vocabSize" | "head" | "build"> {
  readonly source: HfConfig
  /** Module path of the output head, which has no bias. */
  readonly head: string
  /** What the embedding is besides a look-up. */
  readonly embed?: (c: Pick<Context, "graph" | "param">) => EmbedOptions
  /** One pass's blocks: x after layer `layer`. */
  readonly blocks: (c: Context) => (layer: number, x: Value) => Attended
  /** After the last block. */
  readonly norm: (c: Context, x: Value) => Value
}

/** A model of a family's parts. */
export const decoder = ({ source, head: headPath, embed: own, blocks, norm, ...family }: Family): Model => {
  const { config, linears, embedding } = family
  const head: Linear = { path: headPath, inFeatures: config.hidden_size, outFeatures: config.vocab_size, bias: false }
  const headWeight = `${config.tie_word_embeddings ? embedding : headPath}.weight`

  const build = (graph: GraphBuilder, args: BuildArgs): Built => {
    const { param, hooks } = args
    const { embeddings, attention, pick } = embed(graph, args, config, param(`${embedding}.weight`), own?.({ graph, param }))
    const last = hooks?.everyPlace === true ? config.num_hidden_layers : config.num_hidden_layers - 1
    const wanted = (layer: number, x: Value): Value => (layer === last ? pick(x) : x)
    const c: Context = { graph, dtype: embeddings.dtype, param, linear: linearOf(linears, param, hooks), attention, wanted }
    const block = blocks(c)
    const hidden = [embeddings]
    const present: KeyValue[] = []
    for (let layer = 0; layer < config.num_hidden_layers; layer++) {
      const result = block(layer, hidden[layer] as Value)
      hidden.push(result.output)
      present.push(result.present)
    }
    const final = norm(c, wanted(config.num_hidden_layers, hidden[config.num_hidden_layers] as Value))
    const compute = hooks?.linear ?? plainLinear
    const headOf = (x: Value): Value => compute({ layer: head, x, weight: param(headWeight), bias: undefined })
    return { final, head: headOf, logits: headOf(final), present, hidden }
  }
  return { ...family, modelType: config.model_type, configJson: source.source, vocabSize: config.vocab_size, head, build }
}

/** What a block's branch adds to the residual stream, after dropout. `path` is the branch's module. */
export const residual = ({ attention }: Context, path: string, y: Value): Value =>
  attention.hooks.dropout?.({ kind: "residual", path }, y) ?? y

/** A dropout config with what is left out or null as 0. */
export const dropoutOf = (shares: { readonly [K in keyof ConfigDropout]?: number | null | undefined }): ConfigDropout => ({
  attention: shares.attention ?? 0,
  residual: shares.residual ?? 0,
  embedding: shares.embedding ?? 0
})

// --- tensors, with transformers' initial values ---

export const layerPaths = (list: string, { num_hidden_layers }: ModelConfig): readonly string[] =>
  Array.from({ length: num_hidden_layers }, (_, layer) => `${list}.${layer}`)

export const weight = (name: string, shape: readonly number[], std: number): Parameter => ({
  name,
  shape,
  decay: true,
  init: { kind: "normal", std }
})

/** A norm's weight, or a bias. */
export const vector = (name: string, size: number, value: number): Parameter => ({
  name,
  shape: [size],
  decay: false,
  init: { kind: "constant", value }
})

export const linearTensors = (linears: readonly Linear[], std: number): readonly Parameter[] =>
  linears.flatMap(({ path, inFeatures, outFeatures, bias, transposed = false }) => [
    weight(`${path}.weight`, transposed ? [inFeatures, outFeatures] : [outFeatures, inFeatures], std),
    ...(bias ? [vector(`${path}.bias`, outFeatures, 0)] : [])
  ])

/** The token embedding, first of all tensors, and an output head of its own, last. `std` of both. */
export const embeddingTensors = (
  config: ModelConfig,
  embedding: string,
  head: string,
  std: number
): { readonly first: Parameter; readonly last: readonly Parameter[] } => {
  const { vocab_size: vocab, hidden_size: hidden, pad_token_id: pad, tie_word_embeddings: tied } = config
  const table = weight(`${embedding}.weight`, [vocab, hidden], std)
  const init = pad === null ? table.init : ({ kind: "normal", std, zeroRow: pad } as const)
  return {
    first: { ...table, init, ...(tied ? { alias: `${head}.weight` } : {}) },
    last: tied ? [] : [weight(`${head}.weight`, [vocab, hidden], std)]
  }
}
