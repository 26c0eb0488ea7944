// adapter_config.json of prefix tuning (PEFT's PrefixTuningConfig).
import * as Schema from "effect/Schema"
import type { JsonObject } from "../decode.ts"
import { given, orNull, readFields } from "./fields.ts"
import { type Geometry, geometryFields, geometryJson, geometryOf, Size } from "./geometry.ts"

const PrefixFields = Schema.Struct({
  ...geometryFields,
  prefix_projection: orNull(Schema.Boolean),
  encoder_hidden_size: orNull(Size)
})

/** As PEFT has it, `tokenDim` is the width of a layer's keys, head_dim x num_key_value_heads, and `numAttentionHeads` the number of their heads. */
export interface PrefixConfig extends Geometry {
  readonly peftType: "PREFIX_TUNING"
  /** Width inside of the projection that the prefix is trained behind; absent: it is trained as it is. */
  readonly encoderHiddenSize?: number
}

/** @throws DataError */
export const parsePrefix = (json: JsonObject, where: string): PrefixConfig => {
  // init_weights says only how the tensors began.
  const fields = readFields(PrefixFields, json, where, { init_weights: [] })
  const width = fields.prefix_projection === true ? (fields.encoder_hidden_size ?? fields.token_dim) : undefined
  return { peftType: "PREFIX_TUNING", ...geometryOf(fields), ...given("encoderHiddenSize", width) }
}

export const prefixJson = (config: PrefixConfig): JsonObject => ({
  ...geometryJson(config),
  encoder_hidden_size: config.encoderHiddenSize ?? config.tokenDim,
  prefix_projection: config.encoderHiddenSize !== undefined
})
