// JSONL: an object a line. JSON: a list of objects, or an object that holds one list.
import { DataError } from "#src/domain/Errors.ts"
import type { SourceRecord } from "./SourceRecord.ts"
import { lines, wholeText } from "./utf8.ts"

const whyOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

export function* readJsonl(bytes: Buffer): Generator<SourceRecord> {
  for (const { line, text } of lines(bytes)) {
    if (text.trim() === "") continue
    const at = `line ${line}`
    try {
      yield { at, value: JSON.parse(text) as unknown }
    } catch (cause) {
      yield { at, problem: `not valid JSON, perhaps cut short: ${whyOf(cause)}` }
    }
  }
}

export function* readJson(bytes: Buffer, name: string): Generator<SourceRecord> {
  const text = wholeText(bytes, name)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new DataError({
      message: "the file is not valid JSON",
      where: name,
      why: whyOf(cause),
      hint: 'one object a line is format: "jsonl"'
    })
  }
  const lists = Array.isArray(value) ? [value] : Object.values(value ?? {}).filter((entry) => Array.isArray(entry))
  if (lists.length !== 1) {
    throw new DataError({
      message: lists.length === 0 ? "the file holds no list of rows" : `the file holds ${lists.length} lists`,
      where: name,
      why: "it must be a list of rows, or an object with one list in it",
      hint: lists.length === 0 ? 'one object a line is format: "jsonl"' : "keep the one with the rows in a file of its own"
    })
  }
  for (const [i, row] of (lists[0] as readonly unknown[]).entries()) yield { at: `row ${i + 1}`, value: row }
}
