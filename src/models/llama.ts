// The Llama family (transformers' modeling_llama.py; Touvron et al. 2023): pre-norm blocks of grouped-query attention with
// rotary positions and a SwiGLU MLP. The parts come in the same order in each family's file: config, norm, attention, MLP, block, model.
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { decodeObject } from "#src/formats/decode.ts"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { add, greater, mul, where } from "#src/graph/ops/elementwise.ts"
import { gather } from "#src/graph/ops/index.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { rmsNorm, rotaryEmbedding, silu, softmax } from "#src/graph/ops/nn.ts"
import { concat, reshape, transpose } from "#src/graph/ops/shape.ts"
import type { GraphBuilder, Value } from "#src/graph/Value.ts"
import type { BuildArgs, Built, KeyValue, Linear, Model, ModelConfig, Parameter } from "./Model.ts"
import { inverseFrequencies, rotaryTables } from "./rope.ts"

// --- config: fields and defaults of transformers' LlamaConfig; what is not computed here is refused by its type ---

const Size = Schema.Int.check(Schema.isGreaterThan(0))
const TokenId = Schema.optionalKey(Schema.NullOr(Schema.Int))

const LlamaFields = Schema.Struct({
  vocab_size: Size,
  hidden_size: Size,
  intermediate_size: Size,
  num_hidden_layers: Size,
  num_attention_heads: Size,
  num_key_value_heads: Schema.optionalKey(Schema.NullOr(Size)),
  head_dim: Schema.optionalKey(Schema.NullOr(Size)),
  max_position_embeddings: Schema.optionalKey(Size),
  rms_norm_eps: Schema.optionalKey(Schema.Finite),
  initializer_range: Schema.optionalKey(Schema.Finite),
  hidden_act: Schema.optionalKey(Schema.Literal("silu")),
  attention_dropout: Schema.optionalKey(Schema.Literal(0)),
  attention_bias: Schema.optionalKey(Schema.Boolean),
  mlp_bias: Schema.optionalKey(Schema.Boolean),
  quantization_config: Schema.optionalKey(Schema.Null),
  tie_word_embeddings: Schema.optionalKey(Schema.Boolean),
  bos_token_id: TokenId,
  eos_token_id: Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.Int, Schema.Array(Schema.Int)]))),
  pad_token_id: TokenId,
  rope_parameters: Schema.Record(Schema.String, Schema.Json)
})

interface LlamaConfig extends ModelConfig {
  readonly intermediate_size: number
  readonly rms_norm_eps: number
  readonly initializer_range: number
  readonly attention_bias: boolean
  readonly mlp_bias: boolean
}

const configOf = (fields: typeof LlamaFields.Type, where: string): LlamaConfig => {
  const heads = fields.num_attention_heads
  const config: LlamaConfig = {
    model_type: "llama",
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    initializer_range: 0.02,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: false,
    bos_token_id: 1,
    eos_token_id: 2,
    pad_token_id: null,
    ...fields,
    num_key_value_heads: fields.num_key_value_heads ?? heads,
    head_dim: fields.head_dim ?? Math.floor(fields.hidden_size / heads)
  }
  const refuse = (message: string): never => {
    throw new DataError({ message, where })
  }
  if (heads % config.num_key_value_heads !== 0) {
    refuse(`num_attention_heads ${heads} is no multiple of num_key_value_heads ${config.num_key_value_heads}`)
  }
  if (config.head_dim % 2 !== 0) refuse(`head_dim ${config.head_dim} is odd: rotary positions need pairs`)
  if (config.pad_token_id !== null && !(config.pad_token_id >= 0 && config.pad_token_id < config.vocab_size)) {
    refuse(`pad_token_id ${config.pad_token_id} is outside the vocabulary of ${config.vocab_size}`)
  }
  return config
}

/** What all parts of one forward pass share. B rows of T tokens; activations are [B * T, width]. */
interface Context {
  readonly config: LlamaConfig
  readonly param: (name: string) => Value
  readonly linear: (path: string, x: Value) => Value
  readonly batch: number
  readonly length: number
  readonly positions: Value
  readonly cos: Value
  readonly sin: Value
  /** Added to the scores, broadcast to [B, H, T, C + T]. */
  readonly mask: Value
  readonly cache: BuildArgs["cache"]
}

// --- norm ---

const norm = (c: Context, path: string, x: Value): Value => rmsNorm(x, c.param(`${path}.weight`), c.config.rms_norm_eps)

// --- attention ---

/** [B * T, n * hd] to [B, n, T, hd]. */
const splitHeads = (c: Context, x: Value, heads: number): Value =>
  transpose(reshape(x, [c.batch, c.length, heads, c.config.head_dim]), [0, 2, 1, 3])

const attention = (c: Context, layer: number, path: string, x: Value): { readonly output: Value; readonly present: KeyValue } => {
  const { batch: B, length: T, cache } = c
  const { num_attention_heads: H, num_key_value_heads: KV, head_dim: hd } = c.config
  const rotate = (heads: Value): Value => rotaryEmbedding(heads, c.positions, c.cos, c.sin)
  const query = rotate(splitHeads(c, c.linear(`${path}.q_proj`, x), H))
  const key = rotate(splitHeads(c, c.linear(`${path}.k_proj`, x), KV))
  const value = splitHeads(c, c.linear(`${path}.v_proj`, x), KV)
  const keys = cache === undefined ? key : concat([cache.keys[layer] as Value, key], 2)
  const values = cache === undefined ? value : concat([cache.values[layer] as Value, value], 2)
  // The H / KV query heads of a group stand below each other as rows of one matrix, so keys and values are never repeated and
  // their gradients sum over the group inside the matrix product.
  const scores = matMul(reshape(query, [B, KV, -1, hd]), keys, { transB: true, alpha: 1 / Math.sqrt(hd) })
  const weights = softmax(add(reshape(scores, [B, H, T, -1]), c.mask))
  const mixed = matMul(reshape(weights, [B, KV, (H / KV) * T, -1]), values)
  const joined = reshape(transpose(reshape(mixed, [B, H, T, hd]), [0, 2, 1, 3]), [B * T, H * hd])
  return { output: c.linear(`${path}.o_proj`, joined), present: { key, value } }
}

// --- MLP ---

const mlp = (c: Context, path: string, x: Value): Value =>
  c.linear(`${path}.down_proj`, mul(silu(c.linear(`${path}.gate_proj`, x)), c.linear(`${path}.up_proj`, x)))

// --- block ---

const block = (c: Context, layer: number, x: Value): { readonly output: Value; readonly present: KeyValue } => {
  const path = `model.layers.${layer}`
  const attended = attention(c, layer, `${path}.self_attn`, norm(c, `${path}.input_layernorm`, x))
  const middle = add(x, attended.output)
  const output = add(middle, mlp(c, `${path}.mlp`, norm(c, `${path}.post_attention_layernorm`, middle)))
  return { output, present: attended.present }
}

// --- model ---

const embedding = "model.embed_tokens.weight"
const head = "lm_head.weight"

const layersOf = (config: LlamaConfig): readonly string[] => Array.from({ length: config.num_hidden_layers }, (_, i) => `model.layers.${i}`)

/** Linear layers of one block with the config field that gives them a bias. */
const blockLinears = (config: LlamaConfig, path: string): readonly (Linear & { readonly bias: boolean })[] => {
  const { hidden_size: hidden, intermediate_size: inner, attention_bias, mlp_bias } = config
  const width = config.num_attention_heads * config.head_dim
  const kvWidth = config.num_key_value_heads * config.head_dim
  const linear = (name: string, inFeatures: number, outFeatures: number, bias: boolean) => ({
    path: `${path}.${name}`,
    inFeatures,
    outFeatures,
    bias
  })
  return [
    linear("self_attn.q_proj", hidden, width, attention_bias),
    linear("self_attn.k_proj", hidden, kvWidth, attention_bias),
    linear("self_attn.v_proj", hidden, kvWidth, attention_bias),
    linear("self_attn.o_proj", width, hidden, attention_bias),
    linear("mlp.gate_proj", hidden, inner, mlp_bias),
    linear("mlp.up_proj", hidden, inner, mlp_bias),
    linear("mlp.down_proj", inner, hidden, mlp_bias)
  ]
}

const parametersOf = (config: LlamaConfig): readonly Parameter[] => {
  const { vocab_size: vocab, hidden_size: hidden, pad_token_id: pad } = config
  const init = { kind: "normal", std: config.initializer_range } as const
  const weight = (name: string, shape: readonly number[]): Parameter => ({ name, shape, decay: true, init })
  const vector = (name: string, size: number, value: number): Parameter => ({
    name,
    shape: [size],
    decay: false,
    init: { kind: "constant", value }
  })
  return [
    {
      ...weight(embedding, [vocab, hidden]),
      init: pad === null ? init : { ...init, zeroRow: pad },
      ...(config.tie_word_embeddings ? { alias: head } : {})
    },
    ...layersOf(config).flatMap((path) => [
      ...blockLinears(config, path).flatMap(({ path: at, inFeatures, outFeatures, bias }) => [
        weight(`${at}.weight`, [outFeatures, inFeatures]),
        ...(bias ? [vector(`${at}.bias`, outFeatures, 0)] : [])
      ]),
      vector(`${path}.input_layernorm.weight`, hidden, 1),
      vector(`${path}.post_attention_layernorm.weight`, hidden, 1)
    ]),
    vector("model.norm.weight", hidden, 1),
    ...(config.tie_word_embeddings ? [] : [weight(head, [vocab, hidden])])
  ]
}

/** Additive causal mask [T, T], made in the graph: as a constant it would be the largest part of a long sequence's model. */
const causalMask = (graph: GraphBuilder, T: number): Value => {
  const places = (shape: readonly number[]): Value =>
    graph.constant(
      BigInt64Array.from({ length: T }, (_, i) => BigInt(i)),
      "int64",
      shape
    )
  // Finite instead of -infinity, so that nothing can become NaN.
  const lowest = graph.constant(-3.4028234663852886e38, "float32", [])
  return where(greater(places([1, T]), places([T, 1])), lowest, graph.constant(0, "float32", []))
}

/** 0 .. T-1 for each of B rows. */
const rowPositions = (graph: GraphBuilder, B: number, T: number): Value =>
  graph.constant(
    BigInt64Array.from({ length: B * T }, (_, i) => BigInt(i % T)),
    "int64",
    [B, T]
  )

/** @throws DataError where the config is incomplete or asks for something that is not computed here */
export const llama = (source: HfConfig, where: string): Model => {
  const fields = decodeObject(LlamaFields, source.fields, where)
  const config = configOf(fields, where)
  const frequencies = inverseFrequencies(fields.rope_parameters, config.head_dim, where)
  const linears = new Map(layersOf(config).flatMap((path) => blockLinears(config, path).map((linear) => [linear.path, linear])))

  const build = (graph: GraphBuilder, { inputIds, param, linear, select, cache }: BuildArgs): Built => {
    const [batch, length] = inputIds.shape as [number, number]
    const cached = cache?.keys[0]?.shape[2] ?? 0
    const project = linear ?? ((x, _, weight) => matMul(x, weight, { transB: true }))
    const c: Context = {
      config,
      param,
      linear: (path, x) => {
        const layer = linears.get(path)!
        const y = project(x, layer, param(`${path}.weight`))
        return layer.bias ? add(y, param(`${path}.bias`)) : y
      },
      batch,
      length,
      positions: cache?.positions ?? rowPositions(graph, batch, length),
      ...rotaryTables(graph, frequencies, cached + length),
      mask: cache?.mask ?? causalMask(graph, length),
      cache
    }
    const paddingIdx = config.pad_token_id
    const hidden = [gather(param(embedding), reshape(inputIds, [batch * length]), paddingIdx === null ? {} : { paddingIdx })]
    const present: KeyValue[] = []
    for (let layer = 0; layer < config.num_hidden_layers; layer++) {
      const result = block(c, layer, hidden[layer] as Value)
      hidden.push(result.output)
      present.push(result.present)
    }
    const last = hidden[config.num_hidden_layers] as Value
    const normed = norm(c, "model.norm", select === undefined ? last : gather(last, select))
    const logits = matMul(normed, param(config.tie_word_embeddings ? embedding : head), { transB: true })
    return { logits, present, hidden }
  }

  return {
    modelType: config.model_type,
    config,
    configJson: source.source,
    vocabSize: config.vocab_size,
    parameters: parametersOf(config),
    linears: [...linears.values()],
    ignored: /\.rotary_emb\.inv_freq$/,
    build
  }
}
