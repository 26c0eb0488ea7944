// The Phi-3 family (transformers' modeling_phi3.py; Abdin et al. 2024): Llama with queries, keys and values from one linear layer,
// gate and up from another.
import * as Schema from "effect/Schema"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { mul } from "#src/graph/ops/elementwise.ts"
import { silu } from "#src/graph/ops/nn.ts"
import { split } from "#src/graph/ops/shape.ts"
import type { Value } from "#src/graph/Value.ts"
import { attend, type Attended, splitHeads } from "./attention.ts"
import { type DecoderConfig, decodeConfig, decoderConfig, decoderFields, Dropout, maybe, only, refuse, Size } from "./config.ts"
import { type Context, dropoutOf } from "./decoder.ts"
import type { Linear, Model } from "./Model.ts"
import { type At, preNorm } from "./preNorm.ts"
import { type Rotate, ropeOf, rotary } from "./rope.ts"

// --- config: transformers reads embd_pdrop, but drops nothing there ---

const Fields = Schema.Struct({
  ...decoderFields,
  hidden_act: only("silu"),
  sliding_window: maybe(Size),
  resid_pdrop: Dropout,
  embd_pdrop: Dropout
})
const defaults = { max_position_embeddings: 4096, rms_norm_eps: 1e-5, bos_token_id: 1, eos_token_id: 32000, pad_token_id: 32000 }

// --- attention ---

const attention = (c: Context, config: DecoderConfig, rotate: Rotate, window: number | null, { layer, path }: At, x: Value): Attended => {
  const { num_attention_heads: H, num_key_value_heads: KV, head_dim: hd } = config
  const [query, key, value] = split(c.linear(`${path}.qkv_proj`, x), [H * hd, KV * hd, KV * hd], 1) as [Value, Value, Value]
  const heads = (y: Value, count: number): Value => splitHeads(c.attention, y, count)
  const keyValue = { key: rotate(heads(key, KV)), value: heads(value, KV) }
  const { output, present } = attend(c.attention, layer, rotate(heads(query, H)), keyValue, { path, window })
  return { output: c.linear(`${path}.o_proj`, output), present }
}

// --- MLP ---

/** down(silu(gate x) up x) */
const mlp = (c: Context, { intermediate_size: inner }: DecoderConfig, path: string, x: Value): Value => {
  const [gate, up] = split(c.linear(`${path}.gate_up_proj`, x), [inner, inner], 1) as [Value, Value]
  return c.linear(`${path}.down_proj`, mul(silu(gate), up))
}

// --- model ---

const linears = (
  { num_attention_heads: H, num_key_value_heads: KV, head_dim: hd, ...config }: DecoderConfig,
  path: string
): readonly Linear[] => {
  const { hidden_size: hidden, intermediate_size: inner } = config
  return [
    { path: `${path}.self_attn.qkv_proj`, inFeatures: hidden, outFeatures: (H + 2 * KV) * hd, bias: false },
    { path: `${path}.self_attn.o_proj`, inFeatures: H * hd, outFeatures: hidden, bias: false },
    { path: `${path}.mlp.gate_up_proj`, inFeatures: hidden, outFeatures: 2 * inner, bias: false },
    { path: `${path}.mlp.down_proj`, inFeatures: inner, outFeatures: hidden, bias: false }
  ]
}

/** @throws DataError where the config is incomplete or asks for something that is not computed here */
export const phi3 = (source: HfConfig, where: string): Model => {
  const fields = decodeConfig(Fields, source, where)
  const config = decoderConfig("phi3", fields, defaults, where)
  const { rope_type: kind = "default" } = fields.rope_parameters ?? {}
  // transformers has longrope besides, and takes yarn for it.
  if (kind !== "default") refuse(`rope_parameters: rope_type ${JSON.stringify(kind)} is not computed for phi3, "default" alone is`, where)
  const rope = ropeOf(fields.rope_parameters, config, where)
  const { sliding_window: window = null } = fields
  return preNorm({
    source,
    config,
    linears: (path) => linears(config, path),
    attention: (c) => {
      const rotate = rotary(c, rope)
      return (at, x) => attention(c, config, rotate, window, at, x)
    },
    mlp:
      (c) =>
      ({ path }, x) =>
        mlp(c, config, path, x),
    // PEFT has no defaults for this family.
    targets: { lora: ["qkv_proj"], ia3: ["qkv_proj", "down_proj"], ia3Feedforward: ["down_proj"] },
    dropout: dropoutOf({ attention: fields.attention_dropout, residual: fields.resid_pdrop })
  })
}
