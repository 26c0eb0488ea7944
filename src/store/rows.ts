// A rows artifact: one Arrow IPC file with the column `id` and the row kind's own fields.
import { copyFile } from "node:fs/promises"
import { type Data, Field, List, makeData, Schema, Struct, Utf8 } from "apache-arrow"
import { DataError } from "#src/domain/Errors.ts"
import { type ChatMessage, type Row, RowKind, RowSchemas } from "#src/domain/rows.ts"
import { listData, readTable, textData, textValues, writeTable } from "./arrow.ts"

/** Rows of one kind; a `switch` on `kind` narrows the rows. */
export type RowsTable = { [K in RowKind]: { readonly kind: K; readonly rows: readonly Row<K>[] } }[RowKind]

const text = new Utf8()
const messageFields = [new Field("role", text, false), new Field("content", text, false)]
const messageItem = new Field("item", new Struct(messageFields), false)

const rowSchema = (kind: RowKind): Schema => {
  const fields = Object.entries(RowSchemas[kind].fields).map(([name, field]) =>
    name === "messages" ? new Field(name, new List(messageItem), false) : new Field(name, text, field.ast.context?.isOptional ?? false)
  )
  return new Schema([new Field("id", text, false), ...fields], new Map([["anneal.rowKind", kind]]))
}

const messagesData = (rows: readonly (readonly ChatMessage[])[]): Data => {
  const offsets = new Int32Array(rows.length + 1)
  rows.forEach((messages, i) => (offsets[i + 1] = (offsets[i] as number) + messages.length))
  const flat = rows.flat()
  const children = [textData(flat.map((m) => m.role)), textData(flat.map((m) => m.content))]
  return listData(messageItem, offsets, makeData({ type: messageItem.type, length: flat.length, nullCount: 0, children }) as Data<Struct>)
}

/** Writes rows of one kind; the same rows always give the same bytes. */
export const writeRows = <K extends RowKind>(path: string, kind: K, rows: readonly Row<K>[]): Promise<void> => {
  const schema = rowSchema(kind)
  const names = schema.fields.map((f) => f.name)
  return writeTable(path, schema, rows.length, (from, to) => {
    const part = rows.slice(from, to) as readonly unknown[] as readonly Readonly<Record<string, unknown>>[]
    return names.map((name) => {
      const values = part.map((row) => row[name])
      return name === "messages" ? messagesData(values as ChatMessage[][]) : textData(values as (string | undefined)[])
    })
  })
}

const messagesValues = (data: Data): readonly ChatMessage[][] => {
  const list = data as Data<List<Struct>>
  const item = list.children[0] as Data<Struct>
  const roles = textValues(item.children[0] as Data)
  const contents = textValues(item.children[1] as Data)
  const message = (at: number) => ({ role: roles[at], content: contents[at] }) as ChatMessage
  return Array.from({ length: data.length }, (_, i) => {
    const from = list.valueOffsets[i] as number
    return Array.from({ length: (list.valueOffsets[i + 1] as number) - from }, (_, j) => message(from + j))
  })
}

const rowKind = (path: string, schema: Schema): RowKind => {
  const kind = schema.metadata.get("anneal.rowKind")
  if (RowKind.literals.includes(kind as RowKind)) return kind as RowKind
  throw new DataError({
    message: "the file is an Arrow table but no rows table of anneal",
    where: path,
    why: `its schema metadata "anneal.rowKind" is ${kind === undefined ? "missing" : `"${kind}"`}`
  })
}

/**
 * Reads a rows table.
 * @throws DataError where the file is missing, damaged or holds something else
 */
export const readRows = (path: string): Promise<RowsTable> =>
  readTable(path, (schema, batches) => {
    const kind = rowKind(path, schema)
    const names = schema.fields.map((f) => f.name)
    const rows = batches.flatMap((batch) => {
      const columns = batch.data.children.map((data, c) => (names[c] === "messages" ? messagesValues(data) : textValues(data)))
      return Array.from({ length: batch.numRows }, (_, i) => {
        const row: Record<string, unknown> = {}
        names.forEach((name, c) => {
          const value = columns[c]?.[i]
          if (value !== undefined) row[name] = value
        })
        return row
      })
    })
    return { kind, rows } as never as RowsTable
  })

/** Passes a rows file on as it is: same bytes, same digest. */
export const copyRows = (from: string, to: string): Promise<void> => copyFile(from, to)
