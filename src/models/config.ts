// What the families' configs share: fields under Hugging Face's names with transformers' defaults, and the refusal of every field
// that nobody here reads: one that is ignored could mean another model.
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { decodeObject } from "#src/formats/decode.ts"
import type { Json } from "#src/formats/decode.ts"
import type { HfConfig } from "#src/formats/hfConfig.ts"
import { inertFields } from "./inertFields.ts"
import type { ModelConfig } from "./Model.ts"

export const Size = Schema.Int.check(Schema.isGreaterThan(0))
export const maybe = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
export const flag = Schema.optionalKey(Schema.Boolean)
/** A share of activations that transformers drops out while training; anneal drops what its own options say. */
export const Dropout = maybe(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })))
/** For a field whose every other value is refused. */
export const only = <const V extends string | number | boolean>(value: V) => Schema.optionalKey(Schema.Literal(value))

/** Fields of all families. */
export const commonFields = {
  bos_token_id: maybe(Schema.Int),
  eos_token_id: maybe(Schema.Union([Schema.Int, Schema.Array(Schema.Int)])),
  pad_token_id: maybe(Schema.Int),
  // Without it transformers lets every token see all others.
  is_causal: only(true)
}

/** Fields that all families with RMSNorm and gated MLPs have. */
export const decoderFields = {
  ...commonFields,
  vocab_size: Size,
  hidden_size: Size,
  intermediate_size: Size,
  num_hidden_layers: Size,
  num_attention_heads: Size,
  num_key_value_heads: maybe(Size),
  head_dim: maybe(Size),
  max_position_embeddings: Schema.optionalKey(Size),
  rms_norm_eps: Schema.optionalKey(Schema.Finite),
  initializer_range: Schema.optionalKey(Schema.Finite),
  attention_dropout: Dropout,
  tie_word_embeddings: flag,
  rope_parameters: maybe(Schema.Record(Schema.String, Schema.Json)),
  rope_scaling: maybe(Schema.Record(Schema.String, Schema.Json))
}

/** A model config without what anneal does not compute. */
export interface DecoderConfig extends ModelConfig {
  readonly intermediate_size: number
  readonly rms_norm_eps: number
  readonly initializer_range: number
}

/** Of the older spelling; hfConfig.ts makes `rope_parameters` of them. */
const ropeFields = ["rope_theta", "original_max_position_embeddings", "partial_rotary_factor"]

const isOff = (value: Json): boolean =>
  value === null || value === false || (typeof value === "object" && (Array.isArray(value) ? value : Object.keys(value)).length === 0)

/**
 * The fields that `schema` names. Others may stand there only if they are known to change nothing, or are null, false or empty.
 * @throws DataError naming each field that is missing, wrong or unknown
 */
export const decodeConfig = <F extends Schema.Struct.Fields>(
  schema: Schema.Struct<F> & Schema.ConstraintDecoder<unknown>,
  { fields, modelType }: Pick<HfConfig, "fields" | "modelType">,
  where: string
): (typeof schema)["Type"] => {
  const decoded = decodeObject(schema, fields, where)
  const known = new Set([...Object.keys(schema.fields), ...("rope_parameters" in schema.fields ? ropeFields : [])])
  const unknown = Object.entries(fields).filter(([name, value]) => !known.has(name) && !inertFields.has(name) && !isOff(value))
  if (unknown.length === 0) return decoded
  throw new DataError({
    message: `${unknown.map(([name, value]) => `${name}: ${shown(value)}`).join("; ")}: unknown to anneal's ${modelType}`,
    where,
    why: "a field that is ignored could make it another model than the one that was trained",
    hint: "remove it if it changes nothing that the model computes"
  })
}

const shown = (value: Json): string => {
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

type Given = Schema.Struct.Type<typeof decoderFields>

/** Decoded fields with defaults where they are left out: the family's, then transformers' usual ones. @throws DataError where they do not fit together */
export const decoderConfig = (model_type: string, given: Given, defaults: Partial<DecoderConfig>, where: string): DecoderConfig => {
  const { num_attention_heads: heads, hidden_size } = given
  const config = {
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    initializer_range: 0.02,
    tie_word_embeddings: false,
    bos_token_id: null,
    eos_token_id: null,
    pad_token_id: null,
    ...defaults,
    ...given,
    model_type,
    num_key_value_heads: (given.num_key_value_heads === undefined ? defaults.num_key_value_heads : given.num_key_value_heads) ?? heads,
    head_dim: given.head_dim ?? defaults.head_dim ?? Math.floor(hidden_size / heads)
  }
  checkHeads(config, where)
  if (config.head_dim % 2 !== 0) refuse(`head_dim ${config.head_dim} is odd: rotary positions need pairs`, where)
  return config
}

export const refuse = (message: string, where: string): never => {
  throw new DataError({ message, where })
}

/** @throws DataError where heads do not share keys evenly or the padding token is none of the vocabulary's */
export const checkHeads = (config: ModelConfig, where: string): void => {
  const { num_attention_heads: heads, num_key_value_heads: keyValueHeads, pad_token_id: pad, vocab_size } = config
  if (heads % keyValueHeads !== 0) refuse(`num_attention_heads ${heads} is no multiple of num_key_value_heads ${keyValueHeads}`, where)
  if (pad !== null && !(pad >= 0 && pad < vocab_size)) refuse(`pad_token_id ${pad} is outside the vocabulary of ${vocab_size}`, where)
}
