// The Llama family (transformers' modeling_llama.py; Touvron et al. 2023): pre-norm blocks of grouped-query attention with
// rotary positions and a SwiGLU MLP. The parts come in the same order in each family's file: config, norm, attention, MLP, block, model.
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { decodeObject } from "#src/formats/decode.ts"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { add, mul } from "#src/graph/ops/elementwise.ts"
import { rmsNorm, rotaryEmbedding, silu } from "#src/graph/ops/nn.ts"
import type { GraphBuilder, Value } from "#src/graph/Value.ts"
import { attend, type Attended, type Attention, splitHeads } from "./attention.ts"
import { embed } from "./embed.ts"
import { linearOf, plainLinear } from "./linear.ts"
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

/** What all parts of one forward pass share. Activations are [B * T, width]. */
interface Context {
  readonly config: LlamaConfig
  readonly param: (name: string) => Value
  readonly linear: (path: string, x: Value) => Value
  readonly attention: Attention
  readonly rotate: (heads: Value) => Value
}

// --- norm ---

const norm = (c: Context, path: string, x: Value): Value => rmsNorm(x, c.param(`${path}.weight`), c.config.rms_norm_eps)

// --- attention ---

const attention = (c: Context, layer: number, path: string, x: Value): Attended => {
  const { num_attention_heads: H, num_key_value_heads: KV } = c.config
  const heads = (name: string, count: number): Value => splitHeads(c.attention, c.linear(`${path}.${name}`, x), count)
  const query = c.rotate(heads("q_proj", H))
  const key = c.rotate(heads("k_proj", KV))
  const { output, present } = attend(c.attention, layer, query, { key, value: heads("v_proj", KV) }, { path })
  return { output: c.linear(`${path}.o_proj`, output), present }
}

// --- MLP ---

const mlp = (c: Context, path: string, x: Value): Value =>
  c.linear(`${path}.down_proj`, mul(silu(c.linear(`${path}.gate_proj`, x)), c.linear(`${path}.up_proj`, x)))

// --- block ---

const block = (c: Context, layer: number, x: Value): Attended => {
  const path = `model.layers.${layer}`
  const residual = (name: string, y: Value): Value => c.attention.hooks.dropout?.({ kind: "residual", path: `${path}.${name}` }, y) ?? y
  const attended = attention(c, layer, `${path}.self_attn`, norm(c, `${path}.input_layernorm`, x))
  const middle = add(x, residual("self_attn", attended.output))
  const output = add(middle, residual("mlp", mlp(c, `${path}.mlp`, norm(c, `${path}.post_attention_layernorm`, middle))))
  return { output, present: attended.present }
}

// --- model ---

const embedding = "model.embed_tokens"
const head = "lm_head"

const layersOf = (config: LlamaConfig): readonly string[] => Array.from({ length: config.num_hidden_layers }, (_, i) => `model.layers.${i}`)

/** Linear layers of one block with the config field that gives them a bias. */
const blockLinears = (config: LlamaConfig, path: string): readonly Linear[] => {
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
      ...weight(`${embedding}.weight`, [vocab, hidden]),
      init: pad === null ? init : { ...init, zeroRow: pad },
      ...(config.tie_word_embeddings ? { alias: `${head}.weight` } : {})
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
    ...(config.tie_word_embeddings ? [] : [weight(`${head}.weight`, [vocab, hidden])])
  ]
}

/** @throws DataError where the config is incomplete or asks for something that is not computed here */
export const llama = (source: HfConfig, where: string): Model => {
  const fields = decodeObject(LlamaFields, source.fields, where)
  const config = configOf(fields, where)
  const frequencies = inverseFrequencies(fields.rope_parameters, config.head_dim, where)
  const linears = layersOf(config).flatMap((path) => blockLinears(config, path))
  const output: Linear = { path: head, inFeatures: config.hidden_size, outFeatures: config.vocab_size, bias: false }
  const headWeight = `${config.tie_word_embeddings ? embedding : head}.weight`

  const build = (graph: GraphBuilder, args: BuildArgs): Built => {
    const { param, hooks } = args
    const { embeddings, attention, pick } = embed(graph, args, config, param(`${embedding}.weight`))
    const { cos, sin } = rotaryTables(graph, frequencies, attention.positionCount, embeddings.dtype)
    const c: Context = {
      config,
      param,
      linear: linearOf(linears, param, hooks),
      attention,
      rotate: (heads) => rotaryEmbedding(heads, attention.positions, cos, sin)
    }
    const hidden = [embeddings]
    const present: KeyValue[] = []
    for (let layer = 0; layer < config.num_hidden_layers; layer++) {
      const result = block(c, layer, hidden[layer] as Value)
      hidden.push(result.output)
      present.push(result.present)
    }
    const final = norm(c, "model.norm", pick(hidden[config.num_hidden_layers] as Value))
    const compute = hooks?.linear ?? plainLinear
    const headOf = (x: Value): Value => compute({ layer: output, x, weight: param(headWeight), bias: undefined })
    return { final, head: headOf, logits: headOf(final), present, hidden }
  }

  return {
    modelType: config.model_type,
    config,
    configJson: source.source,
    vocabSize: config.vocab_size,
    parameters: parametersOf(config),
    linears,
    head: output,
    embedding,
    targets: { lora: ["q_proj", "v_proj"], ia3: ["k_proj", "v_proj", "down_proj"], ia3Feedforward: ["down_proj"] },
    ignored: /\.rotary_emb\.inv_freq$/,
    build
  }
}
