// A source record -> the content of a row, or one line about what does not fit.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { DataError } from "#src/domain/Errors.ts"
import { RowSchemas } from "#src/domain/rows.ts"
import { type Content, fieldNames } from "#src/text/rowContent.ts"
import type { IngestConfig } from "./stage.ts"

export interface BadField {
  /** "output", "messages[2].content"; undefined where the record is no object at all. */
  readonly field?: string
  /** "expected text, got null" */
  readonly problem: string
}

export type Decode = (value: unknown) => { readonly content: Content; readonly ignored: readonly string[] } | BadField

const shorten = (value: unknown): string => {
  if (value === undefined) return "nothing"
  // A Parquet file may hold 64-bit numbers, which JSON does not.
  const text = typeof value === "bigint" ? String(value) : JSON.stringify(value)
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A key as it is written, else a path through nested objects and lists: "instances.0.output". */
const lookup = (record: unknown, path: string): unknown => {
  if (isObject(record) && Object.hasOwn(record, path)) return record[path]
  return path.split(".").reduce<unknown>((value, key) => {
    if (Array.isArray(value)) return value[Number(key)] as unknown
    return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  }, record)
}

// ShareGPT writes conversations as {from, value} with its own names of who speaks.
const speakers: Readonly<Record<string, string>> = { human: "user", gpt: "assistant" }
const message = (entry: unknown): unknown => {
  if (!isObject(entry) || "role" in entry || !("from" in entry)) return entry
  return { role: speakers[String(entry["from"])] ?? entry["from"], content: entry["value"] }
}

/** The first place, below `path`, of a text that is no Unicode: it would be stored as another. */
const halfCharacter = (value: unknown, path: string): string | undefined => {
  if (typeof value === "string") return value.isWellFormed() ? undefined : path
  if (typeof value !== "object" || value === null) return undefined
  for (const [key, inside] of Object.entries(value)) {
    const found = halfCharacter(inside, Array.isArray(value) ? `${path}[${key}]` : `${path}${path === "" ? "" : "."}${key}`)
    if (found !== undefined) return found
  }
  return undefined
}

/** What messages have besides a role and a content. */
const keysOfMessages = (messages: unknown): readonly string[] => {
  const entries = (Array.isArray(messages) ? messages : []).filter(isObject)
  const keys = entries.flatMap((entry) => Object.keys(entry)).filter((key) => key !== "role" && key !== "content")
  return [...new Set(keys)].map((key) => `messages[].${key}`)
}

/** @throws DataError where columns or constants name fields that the row kind does not have */
export const makeDecode = (config: IngestConfig): Decode => {
  const names = fieldNames(config.as)
  for (const option of ["columns", "constants"] as const) {
    const unknown = Object.keys(config[option]).filter((name) => !names.includes(name))
    if (unknown.length > 0) {
      throw new DataError({
        message: `ingest's ${option} name ${unknown.map((n) => `"${n}"`).join(", ")}, which ${config.as} rows do not have`,
        hint: `fields of ${config.as} rows: ${names.join(", ")}`
      })
    }
  }
  const decode = Schema.decodeUnknownResult(RowSchemas[config.as] as Schema.Codec<Content>)
  const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()
  const sourceOf = (name: string, record: Readonly<Record<string, unknown>>): string => {
    const shareGpt = name === "messages" && !("messages" in record) && "conversations" in record
    return config.columns[name] ?? (shareGpt ? "conversations" : name)
  }

  return (value) => {
    if (!isObject(value)) return { problem: `expected an object with ${names.join(", ")}, got ${shorten(value)}` }
    const candidate: Record<string, unknown> = {}
    const used = new Set<string>()
    for (const name of names) {
      const source = sourceOf(name, value)
      used.add(source).add(source.split(".")[0] as string)
      const found = config.constants[name] ?? lookup(value, source)
      const optional = RowSchemas[config.as].fields[name as never] as Schema.Top
      if (found === undefined || (found === null && optional.ast.context?.isOptional === true)) continue
      candidate[name] = name === "messages" && Array.isArray(found) ? found.map(message) : found
    }
    const decoded = decode(candidate)
    if (Result.isSuccess(decoded)) {
      const broken = halfCharacter(decoded.success, "")
      if (broken !== undefined)
        return { field: broken, problem: "half of a character (a lone surrogate, as \\ud800), which no text file can hold" }
      const ignored = [...Object.keys(value).filter((key) => !used.has(key)), ...keysOfMessages(candidate["messages"])]
      return { content: decoded.success, ignored }
    }
    const issue = issuesOf(decoded.failure.issue).issues[0]
    const path = (issue?.path ?? []) as readonly PropertyKey[]
    const field = path.map((key, i) => (typeof key === "number" ? `[${key}]` : `${i === 0 ? "" : "."}${String(key)}`)).join("")
    const actual = lookup(candidate, path.join("."))
    if (actual !== undefined) return { field, problem: problemOf(issue?.message ?? "", actual) }
    if (path.length === 1) return { field, problem: missing(sourceOf(field, value), value) }
    return { field, problem: missing(String(path.at(-1)), lookup(candidate, path.slice(0, -1).join("."))) }
  }
}

const missing = (key: string, holder: unknown): string => {
  if (Array.isArray(holder)) return "missing: the list is empty"
  return `missing: no "${key}" among the keys ${
    Object.keys(holder as object)
      .slice(0, 8)
      .join(", ") || "(none)"
  }`
}

const problemOf = (message: string, actual: unknown): string => {
  const expected = message
    .replace(/^Expected /, "")
    .replace(/^string$/, "text")
    .replace(/^array$/, "a list")
  const hint = typeof actual === "number" || typeof actual === "bigint" ? `; write it as text: "${actual}"` : ""
  return `expected ${expected}, got ${shorten(actual)}${hint}`
}
