// The text models of Gemma 3 (transformers' modeling_gemma3.py; Gemma Team 2025): embeddings times the root of their width, RMSNorm by
// 1 + w around attention and MLP and over each head of queries and keys, and most layers with a sliding window and a rope of their own.
import * as Schema from "effect/Schema"
import type { JsonObject } from "#src/formats/decode.ts"
import { asObject, type HfConfig } from "#src/formats/hfConfig.ts"
import { add, mul, scale as times } from "#src/graph/ops/elementwise.ts"
import { gelu, rmsNorm } from "#src/graph/ops/nn.ts"
import type { Value } from "#src/graph/Value.ts"
import type { Attended } from "./attention.ts"
import { type DecoderConfig, decodeConfig, decoderConfig, decoderFields, flag, maybe, only, refuse, Size } from "./config.ts"
import { type Context, decoder, dropoutOf, embeddingTensors, layerPaths, linearTensors, residual, vector } from "./decoder.ts"
import type { Model, Parameter } from "./Model.ts"
import { type At, blockLinears, selfAttention } from "./preNorm.ts"
import { type Rope, type Rotate, ropeOf, rotary } from "./rope.ts"
import { type LayerType, LayerTypes, layerTypes, type Windows, windowsOf } from "./windows.ts"

// --- config ---

const Fields = Schema.Struct({
  ...decoderFields,
  hidden_activation: only("gelu_pytorch_tanh"),
  attention_bias: flag,
  query_pre_attn_scalar: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThan(0))),
  sliding_window: maybe(Size),
  sliding_window_pattern: Schema.optionalKey(Size),
  layer_types: LayerTypes,
  rope_local_base_freq: Schema.optionalKey(Schema.Finite)
})
/** What a file may leave out, as Gemma3TextConfig has it. */
const sizes = { vocab_size: 262208, num_attention_heads: 8, num_key_value_heads: 4, head_dim: 256 }
const defaults = { max_position_embeddings: 131072, tie_word_embeddings: true, bos_token_id: 2, eos_token_id: 1, pad_token_id: 0 }

interface GemmaConfig extends DecoderConfig {
  /** Factor of the attention scores. */
  readonly scale: number
  readonly types: readonly LayerType[]
  readonly windows: Windows
  readonly attention_bias: boolean
}

const configOf = (modelType: string, fields: typeof Fields.Type, where: string): GemmaConfig => {
  const config = decoderConfig(modelType, fields, defaults, where)
  const { query_pre_attn_scalar: scalar = 256, sliding_window: window = 4096, sliding_window_pattern: pattern = 6 } = fields
  const every = (layer: number): LayerType => ((layer + 1) % pattern === 0 ? "full_attention" : "sliding_attention")
  const types = layerTypes(fields.layer_types, config.num_hidden_layers, every, where)
  return {
    ...config,
    scale: scalar ** -0.5,
    types,
    windows: windowsOf(types, window, where),
    attention_bias: fields.attention_bias ?? false
  }
}

/** Spellings of other families, which transformers passes over for this one. `text`: the config as the file has it. @throws DataError */
const checkRopeSpelling = (text: JsonObject, where: string): void => {
  const [parameters, scaling] = [asObject(text["rope_parameters"]), asObject(text["rope_scaling"])]
  const flat = Object.keys(parameters).find((name) => !["full_attention", "sliding_attention"].includes(name))
  if (flat !== undefined) refuse(`rope_parameters: ${flat} belongs into full_attention or sliding_attention`, where)
  if ("type" in scaling && !("rope_type" in scaling)) refuse("rope_scaling: type is spelled rope_type for Gemma 3", where)
  if ((text["original_max_position_embeddings"] ?? null) !== null)
    refuse("original_max_position_embeddings belongs into rope_scaling or full_attention", where)
}

/** Older files have the full layers' rope in the common fields and the sliding ones' base in a field of its own. */
const ropesOf = (text: JsonObject, config: GemmaConfig, where: string): Readonly<Record<LayerType, Rope>> => {
  const { full_attention, sliding_attention } = asObject(text["rope_parameters"])
  const [theta, local] = [text["rope_theta"] ?? 1_000_000, text["rope_local_base_freq"] ?? 10_000]
  const common = { rope_theta: theta, partial_rotary_factor: text["partial_rotary_factor"] ?? 1 }
  const full = { ...common, ...asObject(full_attention), ...asObject(text["rope_scaling"]) }
  return {
    full_attention: ropeOf({ rope_type: "default", ...full }, config, where),
    sliding_attention: ropeOf({ rope_type: "default", rope_theta: local, ...asObject(sliding_attention) }, config, where)
  }
}

// --- norm ---

/** x (1 + w) / rms(x) */
const norm = (c: Context, { rms_norm_eps }: GemmaConfig, path: string, x: Value): Value =>
  rmsNorm(x, add(c.param(`${path}.weight`), c.graph.constant(1, c.dtype, [])), rms_norm_eps)

// --- attention ---

const attention = (c: Context, config: GemmaConfig, rotate: Readonly<Record<LayerType, Rotate>>, at: At, x: Value): Attended => {
  const turn = rotate[config.types[at.layer] as LayerType]
  return selfAttention(c, config, at, x, (heads, name) => turn(norm(c, config, `${at.path}.${name}_norm`, heads)), {
    scale: config.scale,
    window: config.windows[at.layer] ?? null
  })
}

// --- MLP ---

/** down(gelu(gate x) up x) */
const mlp = (c: Context, path: string, x: Value): Value =>
  c.linear(`${path}.down_proj`, mul(gelu(c.linear(`${path}.gate_proj`, x), "tanh"), c.linear(`${path}.up_proj`, x)))

// --- block ---

/** m = x + norm(attention(norm x)), then m + norm(mlp(norm m)) */
const block = (c: Context, config: GemmaConfig, rotate: Readonly<Record<LayerType, Rotate>>, { layer, path }: At, x: Value): Attended => {
  const [attentionPath, mlpPath] = [`${path}.self_attn`, `${path}.mlp`]
  const normed = (name: string, y: Value): Value => norm(c, config, `${path}.${name}_layernorm`, y)
  const { output, present } = attention(c, config, rotate, { layer, path: attentionPath }, normed("input", x))
  const middle = c.wanted(layer, add(x, residual(c, attentionPath, normed("post_attention", output))))
  const inner = mlp(c, mlpPath, normed("pre_feedforward", middle))
  return { output: add(middle, residual(c, mlpPath, normed("post_feedforward", inner))), present }
}

// --- model ---

const parametersOf = (config: GemmaConfig, root: string, head: string, paths: readonly string[]): readonly Parameter[] => {
  const { hidden_size: hidden, head_dim, initializer_range: std, attention_bias: bias } = config
  const { first, last } = embeddingTensors(config, `${root}.embed_tokens`, head, std)
  const norms = { "self_attn.q_norm": head_dim, "self_attn.k_norm": head_dim }
  const layerNorms = ["input", "post_attention", "pre_feedforward", "post_feedforward"].map(
    (name) => [`${name}_layernorm`, hidden] as const
  )
  return [
    first,
    ...paths.flatMap((path) => [
      ...linearTensors(blockLinears(config, path, { qkv: bias, output: bias }), std),
      ...[...Object.entries(norms), ...layerNorms].map(([name, size]) => vector(`${path}.${name}.weight`, size, 0))
    ]),
    vector(`${root}.norm.weight`, hidden, 0),
    ...last
  ]
}

/** The text model that a config describes, `written` as in its file, with its tensors below the module `root`. @throws DataError */
export const gemma3TextBelow = (root: string, source: HfConfig, where: string, written: JsonObject): Model => {
  checkRopeSpelling(written, where)
  const text = { ...source, fields: { ...sizes, ...source.fields } }
  const fields = decodeConfig(Fields, text, where)
  const config = configOf(source.modelType, fields, where)
  const ropes = ropesOf(written, config, where)
  const paths = layerPaths(`${root}.layers`, config)
  const [embedding, head] = [`${root}.embed_tokens`, "lm_head"]
  // In the type of the weights: transformers rounds this factor as it rounds them.
  const scaled = (rows: Value): Value => times(rows, Math.sqrt(config.hidden_size))
  const bias = config.attention_bias
  return decoder({
    source,
    config,
    embedding,
    head,
    linears: paths.flatMap((path) => blockLinears(config, path, { qkv: bias, output: bias })),
    parameters: parametersOf(config, root, head, paths),
    targets: { lora: ["q_proj", "v_proj"], ia3: ["q_proj", "v_proj", "down_proj"], ia3Feedforward: ["down_proj"] },
    dropout: dropoutOf({ attention: fields.attention_dropout }),
    ignored: /\.rotary_emb(_local)?\.inv_freq$/,
    embed: () => ({ scaled }),
    blocks: (c) => {
      const rotate = { full_attention: rotary(c, ropes.full_attention), sliding_attention: rotary(c, ropes.sliding_attention) }
      return (layer, x) => block(c, config, rotate, { layer, path: paths[layer] as string }, x)
    },
    norm: (c, x) => norm(c, config, `${root}.norm`, x)
  })
}

/** @throws DataError where the config is incomplete or asks for something that is not computed here */
export const gemma3Text = (source: HfConfig, where: string): Model => gemma3TextBelow("model", source, where, source.source)
