// What the configs of methods that put places in front of the tokens have in common (PEFT's PromptLearningConfig).
import * as Schema from "effect/Schema"
import type { JsonObject } from "../decode.ts"
import { commonFields, orNull } from "./fields.ts"

export const Size = Schema.Int.check(Schema.isGreaterThan(0))

/** Two submodules would be an encoder's and a decoder's. */
export const geometryFields = {
  ...commonFields,
  num_virtual_tokens: Size,
  token_dim: Size,
  num_layers: Size,
  num_attention_heads: Size,
  num_transformer_submodules: orNull(Schema.Literal(1))
}

export interface Geometry {
  /** Folder or name of the base. */
  readonly baseModel: string
  readonly numVirtualTokens: number
  readonly tokenDim: number
  readonly numLayers: number
  readonly numAttentionHeads: number
}

type Fields = Schema.Schema.Type<Schema.Struct<typeof geometryFields>>

export const geometryOf = (fields: Fields): Geometry => ({
  baseModel: fields.base_model_name_or_path ?? "",
  numVirtualTokens: fields.num_virtual_tokens,
  tokenDim: fields.token_dim,
  numLayers: fields.num_layers,
  numAttentionHeads: fields.num_attention_heads
})

export const geometryJson = (geometry: Geometry): JsonObject => ({
  num_attention_heads: geometry.numAttentionHeads,
  num_layers: geometry.numLayers,
  num_transformer_submodules: 1,
  num_virtual_tokens: geometry.numVirtualTokens,
  token_dim: geometry.tokenDim
})
