// config.json of a Hugging Face model folder. transformers 5 writes `rope_parameters` and `dtype`, older releases `rope_theta`,
// `rope_scaling` and `torch_dtype`; both become the newer spelling here, so that a family reads one.
import { DataError } from "#src/domain/Errors.ts"
import { isFourBit, withoutQuantization } from "./bitsandbytes/config.ts"
import { parseObject } from "./decode.ts"
import type { Json, JsonObject } from "./decode.ts"

export interface HfConfig {
  readonly modelType: string
  /** The newer spelling; what families decode. */
  readonly fields: JsonObject
  /** As the file has it, for writing it again. */
  readonly source: JsonObject
  /** The folder holds weights in bitsandbytes' 4-bit form. */
  readonly fourBit: boolean
}

export const asObject = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}

/** Scalings that are defined by the context of pretraining; a field of it beside them wins, as in transformers. */
const byContext: readonly Json[] = ["llama3", "yarn", "longrope"]

/** Nothing where the file says nothing of rope. */
const ropeParameters = (source: JsonObject): JsonObject => {
  const { rope_parameters, rope_theta, rope_scaling, partial_rotary_factor, original_max_position_embeddings: original } = source
  const { type, ...scaling } = asObject(rope_scaling)
  // As in transformers: where both are given, only the older one counts.
  const own = Object.keys(asObject(rope_scaling)).length > 0 ? scaling : asObject(rope_parameters)
  const fields = given({ rope_parameters, rope_theta, rope_scaling, partial_rotary_factor })
  if (Object.keys(fields).length === 0) return {}
  const merged = {
    rope_type: type ?? "default",
    ...given({ rope_theta, partial_rotary_factor }),
    ...own
  }
  const context = byContext.includes(merged.rope_type) ? given({ original_max_position_embeddings: original }) : {}
  return { rope_parameters: { ...merged, ...context } }
}

const given = (fields: Readonly<Record<string, Json | undefined>>): JsonObject =>
  Object.fromEntries(Object.entries(fields).filter((entry): entry is [string, Json] => entry[1] !== undefined && entry[1] !== null))

/** @throws DataError where the text is no JSON object, names no model_type or weights in a form that anneal does not read */
export const parseConfig = (text: string, where: string): HfConfig => {
  const source = parseObject(text, where)
  const { model_type } = source
  if (typeof model_type !== "string") {
    throw new DataError({
      message: "model_type is missing",
      where,
      hint: 'a model folder\'s config.json names its family, e.g. "model_type": "llama"'
    })
  }
  return { modelType: model_type, fields: newerSpelling(withoutQuantization(source)), source, fourBit: isFourBit(source, where) }
}

/** A config, or one inside another, as transformers 5 writes it. */
export const newerSpelling = (source: JsonObject): JsonObject => {
  const dtype = source["dtype"] ?? source["torch_dtype"]
  return { ...source, ...ropeParameters(source), ...(dtype === undefined ? {} : { dtype }) }
}

/** config.json for weights that are saved plain in one type, in the spelling that the source had. */
export const formatConfig = (source: JsonObject, dtype: "float32" | "float16" | "bfloat16" = "float32"): string => {
  const typed = (config: JsonObject, always: boolean): JsonObject => {
    const field = "torch_dtype" in config && !("dtype" in config) ? "torch_dtype" : "dtype"
    return always || field in config ? { ...config, [field]: dtype } : config
  }
  const inner = Object.entries(source).map(([name, value]) => [name, name.endsWith("_config") ? typed(asObject(value), false) : value])
  return `${JSON.stringify(typed(withoutQuantization(Object.fromEntries(inner) as JsonObject), true), null, 2)}\n`
}
