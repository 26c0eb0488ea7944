// GPT-2 (transformers' modeling_gpt2.py; Radford et al. 2019): LayerNorm before attention with learned positions and before an MLP,
// queries, keys and values from one linear layer, every weight stored [in, out].
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { add } from "#src/graph/ops/elementwise.ts"
import { gather } from "#src/graph/ops/index.ts"
import { gelu, layerNorm } from "#src/graph/ops/nn.ts"
import { reshape, split } from "#src/graph/ops/shape.ts"
import type { Value } from "#src/graph/Value.ts"
import { attend, type Attended, type Attention, splitHeads } from "./attention.ts"
import { checkHeads, decodeConfig, Dropout, flag, maybe, refuse, Size, commonFields } from "./config.ts"
import { type Context, decoder, dropoutOf, embeddingTensors, layerPaths, linearTensors, residual, vector, weight } from "./decoder.ts"
import type { Linear, Model, ModelConfig, Parameter } from "./Model.ts"

// --- config: fields of transformers' GPT2Config, which become those that other families have ---

const Fields = Schema.Struct({
  ...commonFields,
  vocab_size: Size,
  n_positions: Size,
  n_embd: Size,
  n_layer: Size,
  n_head: Size,
  n_inner: maybe(Size),
  activation_function: Schema.optionalKey(Schema.Literals(["gelu_new", "gelu_pytorch_tanh", "gelu"])),
  layer_norm_epsilon: Schema.optionalKey(Schema.Finite),
  initializer_range: Schema.optionalKey(Schema.Finite),
  scale_attn_weights: flag,
  scale_attn_by_inverse_layer_idx: flag,
  // Another order of the same computation, for half precision.
  reorder_and_upcast_attn: flag,
  tie_word_embeddings: flag,
  attn_pdrop: Dropout,
  resid_pdrop: Dropout,
  embd_pdrop: Dropout
})

interface Gpt2Config extends ModelConfig {
  readonly intermediate_size: number
  readonly approximate: "none" | "tanh"
  readonly layer_norm_epsilon: number
  readonly initializer_range: number
  /** Factor of the scores in each layer. */
  readonly scales: readonly number[]
}

const configOf = (fields: typeof Fields.Type, where: string): Gpt2Config => {
  const { n_embd: width, n_head: heads, scale_attn_weights: scaled = true, scale_attn_by_inverse_layer_idx: byLayer = false } = fields
  const head_dim = Math.floor(width / heads)
  if (head_dim * heads !== width) refuse(`n_embd ${width} is no multiple of n_head ${heads}`, where)
  const config: Gpt2Config = {
    model_type: "gpt2",
    vocab_size: fields.vocab_size,
    hidden_size: width,
    intermediate_size: fields.n_inner ?? 4 * width,
    num_hidden_layers: fields.n_layer,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    head_dim,
    max_position_embeddings: fields.n_positions,
    approximate: fields.activation_function === "gelu" ? "none" : "tanh",
    layer_norm_epsilon: fields.layer_norm_epsilon ?? 1e-5,
    initializer_range: fields.initializer_range ?? 0.02,
    scales: Array.from({ length: fields.n_layer }, (_, layer) => (scaled ? head_dim ** -0.5 : 1) / (byLayer ? layer + 1 : 1)),
    tie_word_embeddings: fields.tie_word_embeddings ?? true,
    bos_token_id: fields.bos_token_id === undefined ? 50256 : fields.bos_token_id,
    eos_token_id: fields.eos_token_id === undefined ? 50256 : fields.eos_token_id,
    // The config's may be set for the sake of batches, but GPT-2's embedding trains that row like every other.
    pad_token_id: null
  }
  checkHeads(config, where)
  return config
}

// --- positions ---

/** The embeddings with those of their positions added. @throws DataError where a row is longer than there are positions */
const placed = (config: Gpt2Config, param: Context["param"], x: Value, { positions, positionCount, ...attention }: Attention): Value => {
  const { max_position_embeddings: limit, hidden_size } = config
  if (positionCount > limit && attention.cache === undefined && !attention.packed) {
    throw new DataError({
      message: `rows of ${positionCount} tokens, but this model has ${limit} positions`,
      where: "model",
      hint: "make the rows shorter: maxLength of the format stage"
    })
  }
  return add(x, reshape(gather(param("transformer.wpe.weight"), positions), [-1, hidden_size]))
}

// --- norm ---

const norm = (c: Context, config: Gpt2Config, path: string, x: Value): Value =>
  layerNorm(x, c.param(`${path}.weight`), c.param(`${path}.bias`), config.layer_norm_epsilon)

// --- attention ---

const attention = (c: Context, config: Gpt2Config, layer: number, path: string, x: Value): Attended => {
  const { num_attention_heads: H, hidden_size: width } = config
  const [query, key, value] = split(c.linear(`${path}.c_attn`, x), [width, width, width], 1).map((y) => splitHeads(c.attention, y, H)) as [
    Value,
    Value,
    Value
  ]
  const scale = config.scales[layer] as number
  const { output, present } = attend(c.attention, layer, query, { key, value }, { path, scale })
  return { output: c.linear(`${path}.c_proj`, output), present }
}

// --- MLP ---

const mlp = (c: Context, { approximate }: Gpt2Config, path: string, x: Value): Value =>
  c.linear(`${path}.c_proj`, gelu(c.linear(`${path}.c_fc`, x), approximate))

// --- block ---

const block = (c: Context, config: Gpt2Config, layer: number, path: string, x: Value): Attended => {
  const attended = attention(c, config, layer, `${path}.attn`, norm(c, config, `${path}.ln_1`, x))
  const middle = c.wanted(layer, add(x, residual(c, `${path}.attn`, attended.output)))
  const output = add(middle, residual(c, `${path}.mlp`, mlp(c, config, `${path}.mlp`, norm(c, config, `${path}.ln_2`, middle))))
  return { output, present: attended.present }
}

// --- model ---

const root = "transformer"
const [embedding, head] = [`${root}.wte`, "lm_head"]

const blockLinears = ({ hidden_size: width, intermediate_size: inner }: Gpt2Config, path: string): readonly Linear[] => {
  const linear = (name: string, inFeatures: number, outFeatures: number): Linear => ({
    path: `${path}.${name}`,
    inFeatures,
    outFeatures,
    bias: true,
    transposed: true
  })
  return [
    linear("attn.c_attn", width, 3 * width),
    linear("attn.c_proj", width, width),
    linear("mlp.c_fc", width, inner),
    linear("mlp.c_proj", inner, width)
  ]
}

const normTensors = (path: string, width: number): readonly Parameter[] => [
  vector(`${path}.weight`, width, 1),
  vector(`${path}.bias`, width, 0)
]

const parametersOf = (config: Gpt2Config, paths: readonly string[]): readonly Parameter[] => {
  const { hidden_size: width, initializer_range: std, num_hidden_layers: layers, max_position_embeddings } = config
  const { first, last } = embeddingTensors(config, embedding, head, std)
  // Each block adds twice to the residual stream.
  const stdOf = ({ path }: Linear): number => (path.endsWith(".c_proj") ? std / Math.sqrt(2 * layers) : std)
  return [
    first,
    weight(`${root}.wpe.weight`, [max_position_embeddings, width], std),
    ...paths.flatMap((path) => [
      ...normTensors(`${path}.ln_1`, width),
      ...normTensors(`${path}.ln_2`, width),
      ...blockLinears(config, path).flatMap((linear) => linearTensors([linear], stdOf(linear)))
    ]),
    ...normTensors(`${root}.ln_f`, width),
    ...last
  ]
}

/** The hub's own files lack the module's name. */
const toOwn = (stored: string): string => (/^(wte|wpe|h|ln_f)\./.test(stored) ? `${root}.${stored}` : stored)

/** @throws DataError where the config is incomplete or asks for something that is not computed here */
export const gpt2 = (source: HfConfig, where: string): Model => {
  const fields = decodeConfig(Fields, source, where)
  const { attn_pdrop: attention = 0.1, resid_pdrop: residual = 0.1, embd_pdrop: embedded = 0.1 } = fields
  const config = configOf(fields, where)
  const paths = layerPaths(`${root}.h`, config)
  return decoder({
    source,
    config,
    embedding,
    head,
    linears: paths.flatMap((path) => blockLinears(config, path)),
    parameters: parametersOf(config, paths),
    targets: { lora: ["c_attn"], ia3: ["c_attn", "mlp.c_proj"], ia3Feedforward: ["mlp.c_proj"] },
    dropout: dropoutOf({ attention, residual, embedding: embedded }),
    positionLimit: config.max_position_embeddings,
    fileNames: { toOwn, toFile: (name) => name },
    // Causal masks that older releases saved.
    ignored: /^transformer\.h\.\d+\.attn\.(bias|masked_bias)$/,
    embed: ({ param }) => ({ placed: (x, at) => placed(config, param, x, at) }),
    blocks: (c) => (layer, x) => block(c, config, layer, paths[layer] as string, x),
    norm: (c, x) => norm(c, config, `${root}.ln_f`, x)
  })
}
