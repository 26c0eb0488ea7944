// Reads one adapter_config.json field by field: what anneal does not know or cannot do is refused and never left out silently.
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { decodeObject, type JsonObject } from "../decode.ts"

/** Fields that every kind of adapter has. */
export const commonFields = {
  task_type: Schema.optionalKey(Schema.NullOr(Schema.Literal("CAUSAL_LM"))),
  base_model_name_or_path: Schema.optionalKey(Schema.NullOr(Schema.String))
}

/** PEFT writes null for what is not set. */
export const orNull = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/** A list, undefined where it is null or empty. */
export const filled = <A>(list: readonly A[] | null | undefined): readonly A[] | undefined =>
  list === null || list?.length === 0 ? undefined : list

/** { key: value }, or nothing where there is no value. */
export const given = <K extends string, A>(key: K, value: A | undefined): { readonly [_ in K]?: A } =>
  (value === undefined ? {} : { [key]: value }) as { readonly [_ in K]?: A }

/** Fields that never change what the saved tensors compute. */
const withoutEffect = new Set(["peft_type", "auto_mapping", "revision", "peft_version", "inference_mode"])

const isOff = (value: unknown): boolean =>
  value === null || value === false || (typeof value === "object" && Object.keys(value).length === 0)

/**
 * The fields of `schema`. Others must be off (null, false, empty), without effect, or hold one of the `neutral` values of their
 * name; an empty list there means any value.
 * @throws DataError naming the field that is wrong or asks for something that anneal does not do
 */
export const readFields = <F extends Schema.Struct.Fields, S extends Schema.Struct<F> & Schema.ConstraintDecoder<unknown>>(
  schema: S,
  json: JsonObject,
  where: string,
  neutral: Readonly<Record<string, readonly unknown[]>> = {}
): S["Type"] => {
  for (const [field, value] of Object.entries(json)) {
    if (field in schema.fields || withoutEffect.has(field) || isOff(value)) continue
    const allowed = neutral[field]
    if (allowed !== undefined && (allowed.length === 0 || allowed.includes(value))) continue
    throw new DataError({
      message: `${field}: ${JSON.stringify(value)} is not supported`,
      where,
      why: "the adapter would compute something else without it",
      hint: "merge the adapter into its base model with PEFT and use that folder"
    })
  }
  return decodeObject(schema, json, where)
}
