// The Llama family (transformers' modeling_llama.py; Touvron et al. 2023): pre-norm blocks of grouped-query attention with rotary
// positions and a SwiGLU MLP. The parts come in the same order in each family's file: config, norm, attention, MLP, block, model;
// those that are as Llama has them are taken from preNorm.ts, where they stand in this order too.
import * as Schema from "effect/Schema"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { decodeConfig, decoderConfig, decoderFields, flag, only } from "./config.ts"
import { dropoutOf } from "./decoder.ts"
import type { Model } from "./Model.ts"
import { blockLinears, preNorm, selfAttention } from "./preNorm.ts"
import { ropeOf, rotary } from "./rope.ts"

// --- config: fields and defaults of transformers' LlamaConfig; what is not computed here is refused by its type ---

const Fields = Schema.Struct({ ...decoderFields, hidden_act: only("silu"), attention_bias: flag, mlp_bias: flag })

// --- model ---

/** @throws DataError where the config is incomplete or asks for something that is not computed here */
export const llama = (source: HfConfig, where: string): Model => {
  const fields = decodeConfig(Fields, source, where)
  const config = decoderConfig("llama", fields, { bos_token_id: 1, eos_token_id: 2 }, where)
  const rope = ropeOf(fields.rope_parameters, config, where)
  const { attention_bias: bias = false, mlp_bias: mlp = false } = fields
  return preNorm({
    source,
    config,
    linears: (path) => blockLinears(config, path, { qkv: bias, output: bias, mlp }),
    attention: (c) => {
      const rotate = rotary(c, rope)
      return (at, x) => selfAttention(c, config, at, x, rotate)
    },
    targets: { lora: ["q_proj", "v_proj"], ia3: ["k_proj", "v_proj", "down_proj"], ia3Feedforward: ["down_proj"] },
    dropout: dropoutOf({ attention: fields.attention_dropout })
  })
}
