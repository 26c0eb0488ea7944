// A row's content apart from its id: what makes two rows exact repetitions, what its id is made of, which words it has.
import { createHash } from "node:crypto"
import { type Row, type RowKind, RowSchemas } from "#src/domain/rows.ts"

/** Names of a row kind's fields, in order. */
export const fieldNames = (kind: RowKind): readonly string[] => Object.keys(RowSchemas[kind].fields)

/** A row without its id, as it is before ids are given. */
export type Content = Readonly<Record<string, unknown>>

/** The text fields that a person reads, by name: chat messages are named by their position. */
export const textsOf = (row: Row): readonly (readonly [string, string])[] =>
  Object.entries(row).flatMap(([name, value]): readonly (readonly [string, string])[] => {
    if (name === "id") return []
    return typeof value === "string" ? [[name, value]] : value.map((message, i) => [`messages[${i}].content`, message.content] as const)
  })

/** Canonical text of a row's content: equal exactly where two rows of the kind are exact repetitions. */
export const contentKey = (kind: RowKind, content: Content): string =>
  JSON.stringify(
    fieldNames(kind).map((name) => {
      const value = content[name]
      return Array.isArray(value)
        ? value.map((message: { role: string; content: string }) => [message.role, message.content])
        : (value ?? null)
    })
  )

/** 16 hex digits of the content's sha256. */
export const rowId = (kind: RowKind, content: Content): string =>
  createHash("sha256").update(contentKey(kind, content)).digest("hex").slice(0, 16)

/** Gives each row its id, with "-2", "-3" … for repetitions. */
export const withIds = <K extends RowKind>(kind: K, contents: readonly Content[]): readonly Row<K>[] => {
  const seen = new Map<string, number>()
  return contents.map((content) => {
    const id = rowId(kind, content)
    const times = (seen.get(id) ?? 0) + 1
    seen.set(id, times)
    return { ...content, id: times === 1 ? id : `${id}-${times}` } as never as Row<K>
  })
}

// Unicode's White_Space, as Python's str.split() takes it (\s would add U+FEFF and leave out U+0085).
const space = /\p{White_Space}+/u

/** Words of a text: what stands between whitespace. */
export const words = (text: string): readonly string[] => text.split(space).filter((word) => word !== "")

/** Words of a row over all its texts, chat messages too; a class label is not counted. */
export const wordCount = (row: Row): number =>
  textsOf(row).reduce((sum, [name, text]) => (name === "label" ? sum : sum + words(text).length), 0)
