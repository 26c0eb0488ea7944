// The SmolLM3 family (transformers' modeling_smollm3.py; Bakouch et al. 2025): Llama whose every fourth layer knows no positions.
import * as Schema from "effect/Schema"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { decodeConfig, decoderConfig, decoderFields, flag, maybe, only, refuse, Size } from "./config.ts"
import { dropoutOf } from "./decoder.ts"
import type { Model } from "./Model.ts"
import { blockLinears, preNorm, selfAttention } from "./preNorm.ts"
import { ropeOf, rotary } from "./rope.ts"
import { LayerTypes, layerTypes, windowsOf } from "./windows.ts"

// --- config: no_rope_layers has 1 where a layer rotates, in spite of its name; transformers reads no max_window_layers ---

const Fields = Schema.Struct({
  ...decoderFields,
  hidden_act: only("silu"),
  attention_bias: flag,
  mlp_bias: flag,
  no_rope_layers: maybe(Schema.Array(Schema.Literals([0, 1]))),
  no_rope_layer_interval: Schema.optionalKey(Size),
  use_sliding_window: flag,
  sliding_window: maybe(Size),
  max_window_layers: maybe(Schema.Int),
  layer_types: LayerTypes
})
const defaults = {
  max_position_embeddings: 32768,
  num_key_value_heads: 4,
  tie_word_embeddings: true,
  bos_token_id: 128000,
  eos_token_id: 128001,
  pad_token_id: 128004
}

// --- model ---

/** @throws DataError where the config is incomplete or asks for something that is not computed here */
export const smollm3 = (source: HfConfig, where: string): Model => {
  const fields = decodeConfig(Fields, source, where)
  const config = decoderConfig("smollm3", fields, defaults, where)
  const rope = ropeOf(fields.rope_parameters, config, where, 2_000_000)
  const { num_hidden_layers: layers } = config
  const { attention_bias: bias = false, mlp_bias: mlp = false, no_rope_layer_interval: interval = 4 } = fields
  const rotates = fields.no_rope_layers ?? Array.from({ length: layers }, (_, layer) => ((layer + 1) % interval === 0 ? 0 : 1))
  if (rotates.length < layers) refuse(`no_rope_layers has ${rotates.length} entries for ${layers} layers`, where)
  const { use_sliding_window: slides = false, sliding_window: window = null } = fields
  // layer_types decide alone where they are given: transformers masks by them.
  const isSliding = (layer: number): boolean => slides && window !== null && rotates[layer] === 0
  const types = layerTypes(fields.layer_types, layers, (layer) => (isSliding(layer) ? "sliding_attention" : "full_attention"), where)
  const windows = windowsOf(types, window, where)
  return preNorm({
    source,
    config,
    linears: (path) => blockLinears(config, path, { qkv: bias, output: bias, mlp }),
    attention: (c) => {
      const rotate = rotary(c, rope)
      return (at, x) =>
        selfAttention(c, config, at, x, rotates[at.layer] === 1 ? rotate : (heads) => heads, { window: windows[at.layer] ?? null })
    },
    // PEFT has no defaults for this family; these are those of its nearest, Qwen3.
    targets: { lora: ["q_proj", "v_proj"], ia3: ["q_proj", "v_proj", "down_proj"], ia3Feedforward: ["down_proj"] },
    dropout: dropoutOf({ attention: fields.attention_dropout })
  })
}
