// The Qwen3 family (transformers' modeling_qwen3.py; Yang et al. 2025): Llama with RMSNorm over each head of queries and keys before
// their rotation; heads may together be wider than the residual stream.
import * as Schema from "effect/Schema"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { decodeConfig, decoderConfig, decoderFields, flag, only } from "./config.ts"
import { dropoutOf } from "./decoder.ts"
import type { Model } from "./Model.ts"
import { blockLinears, norm, preNorm, selfAttention } from "./preNorm.ts"
import { ropeOf, rotary } from "./rope.ts"
import { upperWindowFields, upperWindows } from "./windows.ts"

// --- config ---

const Fields = Schema.Struct({ ...decoderFields, ...upperWindowFields, hidden_act: only("silu"), attention_bias: flag })
const defaults = { max_position_embeddings: 32768, num_key_value_heads: 32, head_dim: 128 }

// --- model ---

/** @throws DataError where the config is incomplete or asks for something that is not computed here */
export const qwen3 = (source: HfConfig, where: string): Model => {
  const fields = decodeConfig(Fields, source, where)
  const config = decoderConfig("qwen3", fields, defaults, where)
  const rope = ropeOf(fields.rope_parameters, config, where)
  const windows = upperWindows(fields, where)
  const { attention_bias: bias = false } = fields
  const { head_dim: width } = config
  return preNorm({
    source,
    config,
    linears: (path) => blockLinears(config, path, { qkv: bias, output: bias }),
    norms: { "self_attn.q_norm": width, "self_attn.k_norm": width },
    attention: (c) => {
      const rotate = rotary(c, rope)
      return (at, x) =>
        selfAttention(c, config, at, x, (heads, name) => rotate(norm(c, config, `${at.path}.${name}_norm`, heads)), {
          window: windows[at.layer] ?? null
        })
    },
    targets: { lora: ["q_proj", "v_proj"], ia3: ["q_proj", "v_proj", "down_proj"], ia3Feedforward: ["down_proj"] },
    dropout: dropoutOf({ attention: fields.attention_dropout })
  })
}
