// The Mistral family (transformers' modeling_mistral.py; Jiang et al. 2023): Llama without biases, and in its first release with a
// window of earlier tokens that each token sees.
import * as Schema from "effect/Schema"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { decodeConfig, decoderConfig, decoderFields, maybe, only, Size } from "./config.ts"
import { dropoutOf } from "./decoder.ts"
import type { Model } from "./Model.ts"
import { blockLinears, preNorm, selfAttention } from "./preNorm.ts"
import { ropeOf, rotary } from "./rope.ts"

// --- config: a missing sliding_window is one of 4096, as in transformers; null is none ---

const Fields = Schema.Struct({ ...decoderFields, hidden_act: only("silu"), sliding_window: maybe(Size) })
const defaults = { max_position_embeddings: 131072, num_key_value_heads: 8, bos_token_id: 1, eos_token_id: 2 }

// --- model ---

/** @throws DataError where the config is incomplete or asks for something that is not computed here */
export const mistral = (source: HfConfig, where: string): Model => {
  const fields = decodeConfig(Fields, source, where)
  const config = decoderConfig("mistral", fields, defaults, where)
  const rope = ropeOf(fields.rope_parameters, config, where)
  const { sliding_window: window = 4096 } = fields
  return preNorm({
    source,
    config,
    linears: (path) => blockLinears(config, path, {}),
    attention: (c) => {
      const rotate = rotary(c, rope)
      return (at, x) => selfAttention(c, config, at, x, rotate, { window })
    },
    targets: { lora: ["q_proj", "v_proj"], ia3: ["k_proj", "v_proj", "down_proj"], ia3Feedforward: ["down_proj"] },
    dropout: dropoutOf({ attention: fields.attention_dropout })
  })
}
