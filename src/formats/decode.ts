// JSON text to typed values through a Schema, with errors that name the file and every wrong field.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { DataError } from "#src/domain/Errors.ts"

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
export type JsonObject = Readonly<Record<string, Json>>

const describe = SchemaIssue.makeFormatterStandardSchemaV1()

/** The object that a JSON text holds. @throws DataError */
export const parseObject = (text: string, where: string): JsonObject => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new DataError({ message: "the file is not valid JSON", where, why: error instanceof Error ? error.message : String(error) })
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject
  throw new DataError({ message: "the file must hold a JSON object", where })
}

/** `value` as the schema says; fields that it does not name are left out. @throws DataError that lists every wrong field */
export const decodeObject = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  value: unknown,
  where: string,
  hint?: string
): S["Type"] => {
  const decoded = Schema.decodeUnknownResult(schema, { errors: "all" })(value)
  if (Result.isSuccess(decoded)) return decoded.success
  const lines = describe(decoded.failure.issue).issues.map(({ path = [], message }) => {
    const field = path.map((key) => String(typeof key === "object" ? key.key : key)).join(".")
    return field === "" ? message : `${field}: ${message}`
  })
  throw new DataError({ message: lines.join("; "), where, ...(hint === undefined ? {} : { hint }) })
}
