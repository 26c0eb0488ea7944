// Models of blocks as Llama made them common (transformers' modeling_llama.py; Touvron et al. 2023): RMSNorm before grouped-query
// attention with rotary positions, and before a SwiGLU MLP. What differs between families is an argument or stays in their files.
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { add, mul } from "#src/graph/ops/elementwise.ts"
import { rmsNorm, silu } from "#src/graph/ops/nn.ts"
import type { Value } from "#src/graph/Value.ts"
import { attend, type Attended, type AttendOptions, splitHeads } from "./attention.ts"
import type { DecoderConfig } from "./config.ts"
import { type Context, decoder, embeddingTensors, layerPaths, linearTensors, residual, vector } from "./decoder.ts"
import type { AdapterTargets, ConfigDropout, KeyValue, Linear, Model } from "./Model.ts"

/** A module of one block. */
export interface At {
  readonly layer: number
  readonly path: string
}
/** A part of a block for one forward pass. */
export type Part<A> = (at: At, x: Value) => A

// --- norm ---

/** RMSNorm with the weight at `path`. */
export const norm = (c: Context, { rms_norm_eps }: DecoderConfig, path: string, x: Value): Value =>
  rmsNorm(x, c.param(`${path}.weight`), rms_norm_eps)

// --- attention ---

export interface Projected extends KeyValue {
  /** [B, H, T, hd] */
  readonly query: Value
}

/** What becomes of the heads of queries and of keys before they meet: rotations, norms. `name` is their module's, "q" or "k". */
export type Prepare = (heads: Value, name: "q" | "k") => Value

/** Attention with the layers q_proj, k_proj, v_proj and o_proj. */
export const selfAttention = (
  c: Context,
  config: DecoderConfig,
  { layer, path }: At,
  x: Value,
  prepare: Prepare,
  options: Omit<AttendOptions, "path"> = {}
): Attended => {
  const { num_attention_heads: H, num_key_value_heads: KV } = config
  const heads = (name: string, count: number): Value => splitHeads(c.attention, c.linear(`${path}.${name}_proj`, x), count)
  const query = prepare(heads("q", H), "q")
  const key = prepare(heads("k", KV), "k")
  const { output, present } = attend(c.attention, layer, query, { key, value: heads("v", KV) }, { ...options, path })
  return { output: c.linear(`${path}.o_proj`, output), present }
}

// --- MLP ---

/** down(silu(gate x) up x) */
export const swiglu = (c: Context, path: string, x: Value): Value =>
  c.linear(`${path}.down_proj`, mul(silu(c.linear(`${path}.gate_proj`, x)), c.linear(`${path}.up_proj`, x)))

// --- block ---

/** m = x + attention(norm x), then m + mlp(norm m). */
const block = (c: Context, config: DecoderConfig, { layer, path }: At, x: Value, attention: Part<Attended>, mlp: Part<Value>): Attended => {
  const [attentionPath, mlpPath] = [`${path}.self_attn`, `${path}.mlp`]
  const attended = attention({ layer, path: attentionPath }, norm(c, config, `${path}.input_layernorm`, x))
  const middle = c.wanted(layer, add(x, residual(c, attentionPath, attended.output)))
  const inner = mlp({ layer, path: mlpPath }, norm(c, config, `${path}.post_attention_layernorm`, middle))
  return { output: add(middle, residual(c, mlpPath, inner)), present: attended.present }
}

// --- model ---

export interface PreNorm {
  readonly source: HfConfig
  readonly config: DecoderConfig
  /** The linear layers of the block at `path`. */
  readonly linears: (path: string) => readonly Linear[]
  /** Sizes of norm weights that a block has besides, by their module. */
  readonly norms?: Readonly<Record<string, number>>
  readonly attention: (c: Context) => Part<Attended>
  /** Default SwiGLU. */
  readonly mlp?: (c: Context) => Part<Value>
  readonly targets: AdapterTargets
  readonly dropout: ConfigDropout
}

export const preNorm = ({ source, config, linears, norms = {}, attention, mlp, targets, dropout }: PreNorm): Model => {
  const [embedding, head] = ["model.embed_tokens", "lm_head"]
  const { hidden_size: hidden, initializer_range: std } = config
  const paths = layerPaths("model.layers", config)
  const { first, last } = embeddingTensors(config, embedding, head, std)
  const sizes = Object.entries({ ...norms, input_layernorm: hidden, post_attention_layernorm: hidden })
  return decoder({
    source,
    config,
    embedding,
    head,
    linears: paths.flatMap(linears),
    parameters: [
      first,
      ...paths.flatMap((path) => [
        ...linearTensors(linears(path), std),
        ...sizes.map(([name, size]) => vector(`${path}.${name}.weight`, size, 1))
      ]),
      vector("model.norm.weight", hidden, 1),
      ...last
    ],
    targets,
    dropout,
    // Buffers of older releases.
    ignored: /\.rotary_emb\.inv_freq$/,
    blocks: (c) => {
      const parts = { attention: attention(c), mlp: mlp?.(c) ?? (({ path }, y) => swiglu(c, path, y)) } as const
      return (layer, x) => block(c, config, { layer, path: paths[layer] as string }, x, parts.attention, parts.mlp)
    },
    norm: (c, x) => norm(c, config, "model.norm", x)
  })
}

/** Which linear layers of a block have biases. */
export interface Biases {
  readonly qkv?: boolean
  readonly output?: boolean
  readonly mlp?: boolean
}

/** The linear layers of the block at `path` as most families name them. */
export const blockLinears = (
  config: DecoderConfig,
  path: string,
  { qkv = false, output = false, mlp = false }: Biases
): readonly Linear[] => {
  const { hidden_size: hidden, intermediate_size: inner, head_dim } = config
  const width = config.num_attention_heads * head_dim
  const kvWidth = config.num_key_value_heads * head_dim
  const linear = (name: string, inFeatures: number, outFeatures: number, bias: boolean): Linear => ({
    path: `${path}.${name}`,
    inFeatures,
    outFeatures,
    bias
  })
  return [
    linear("self_attn.q_proj", hidden, width, qkv),
    linear("self_attn.k_proj", hidden, kvWidth, qkv),
    linear("self_attn.v_proj", hidden, kvWidth, qkv),
    linear("self_attn.o_proj", width, hidden, output),
    linear("mlp.gate_proj", hidden, inner, mlp),
    linear("mlp.up_proj", hidden, inner, mlp),
    linear("mlp.down_proj", inner, hidden, mlp)
  ]
}
