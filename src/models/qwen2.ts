// The Qwen2 and Qwen2.5 family (transformers' modeling_qwen2.py; Yang et al. 2024): Llama with biases on queries, keys and values,
// in some models with a sliding window in the upper layers.
import * as Schema from "effect/Schema"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { decodeConfig, decoderConfig, decoderFields, only } from "./config.ts"
import { dropoutOf } from "./decoder.ts"
import type { Model } from "./Model.ts"
import { blockLinears, preNorm, selfAttention } from "./preNorm.ts"
import { ropeOf, rotary } from "./rope.ts"
import { upperWindowFields, upperWindows } from "./windows.ts"

// --- config ---

const Fields = Schema.Struct({ ...decoderFields, ...upperWindowFields, hidden_act: only("silu") })
const defaults = { max_position_embeddings: 32768, num_key_value_heads: 32 }

// --- model ---

/** @throws DataError where the config is incomplete or asks for something that is not computed here */
export const qwen2 = (source: HfConfig, where: string): Model => {
  const fields = decodeConfig(Fields, source, where)
  const config = decoderConfig("qwen2", fields, defaults, where)
  const rope = ropeOf(fields.rope_parameters, config, where)
  const windows = upperWindows(fields, where)
  return preNorm({
    source,
    config,
    linears: (path) => blockLinears(config, path, { qkv: true }),
    attention: (c) => {
      const rotate = rotary(c, rope)
      return (at, x) => selfAttention(c, config, at, x, rotate, { window: windows[at.layer] ?? null })
    },
    targets: { lora: ["q_proj", "v_proj"], ia3: ["q_proj", "v_proj", "down_proj"], ia3Feedforward: ["down_proj"] },
    dropout: dropoutOf({ attention: fields.attention_dropout })
  })
}
