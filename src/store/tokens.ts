// A tokens artifact: one Arrow IPC file of token ids, loss mask, prompt length and reference answer per row.
import { Field, Int32, type Data, List, makeData, Schema, Uint8, Utf8 } from "apache-arrow"
import * as Result from "effect/Result"
import * as EffectSchema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { TokensMeta } from "#src/domain/Tokens.ts"
import { listData, readTable, textData, textValues, writeTable } from "./arrow.ts"

/**
 * Rows as flat arrays: row i has the tokens [offsets[i], offsets[i + 1]). `mask` is 1 where that token is a trained target.
 * `promptLength` counts the tokens before the answer; `reference` is the answer's text, "" for text rows.
 */
export interface TokensTable {
  readonly meta: TokensMeta
  readonly ids: readonly string[]
  readonly offsets: Int32Array
  readonly tokens: Int32Array
  readonly mask: Uint8Array
  readonly promptLength: Int32Array
  readonly reference: readonly string[]
}

const int32 = new Int32()
const uint8 = new Uint8()
const tokenItem = new Field("item", int32, false)
const maskItem = new Field("item", uint8, false)
const fields = [
  new Field("id", new Utf8(), false),
  new Field("tokens", new List(tokenItem), false),
  new Field("mask", new List(maskItem), false),
  new Field("promptLength", int32, false),
  new Field("reference", new Utf8(), false)
]

/** Writes a tokens table; the same rows always give the same bytes. */
export const writeTokens = (path: string, table: TokensTable): Promise<void> => {
  const schema = new Schema(fields, new Map([["anneal.tokens", JSON.stringify(table.meta)]]))
  return writeTable(path, schema, table.ids.length, (from, to) => {
    const first = table.offsets[from] as number
    const last = table.offsets[to] as number
    const offsets = table.offsets.slice(from, to + 1).map((o) => o - first)
    const tokens = table.tokens.subarray(first, last)
    const mask = table.mask.subarray(first, last)
    const promptLength = table.promptLength.subarray(from, to)
    return [
      textData(table.ids.slice(from, to)),
      listData(tokenItem, offsets, makeData({ type: int32, length: tokens.length, nullCount: 0, data: tokens })),
      listData(maskItem, offsets, makeData({ type: uint8, length: mask.length, nullCount: 0, data: mask })),
      makeData({ type: int32, length: promptLength.length, nullCount: 0, data: promptLength }),
      textData(table.reference.slice(from, to))
    ]
  })
}

const readMeta = (path: string, json: string | undefined): TokensMeta => {
  const decoded = EffectSchema.decodeUnknownResult(EffectSchema.fromJsonString(TokensMeta))(json)
  if (Result.isSuccess(decoded)) return decoded.success
  throw new DataError({
    message: "the file is an Arrow table but no tokens table of this version of anneal",
    where: path,
    why: `schema metadata "anneal.tokens": ${decoded.failure.message}`
  })
}

/**
 * Reads a tokens table; the arrays are views on the file's bytes where it has one batch, else one copy.
 * @throws DataError where the file is missing, damaged or holds something else
 */
export const readTokens = (path: string): Promise<TokensTable> =>
  readTable(path, (schema, batches) => {
    const meta = readMeta(path, schema.metadata.get("anneal.tokens"))
    const column = (c: number) => batches.map((batch) => batch.data.children[c] as Data)
    const lists = column(1) as Data<List<Int32>>[]
    const masks = column(2) as Data<List<Uint8>>[]
    const text = (c: number) => column(c).flatMap((data) => textValues(data) as string[])
    return {
      meta,
      ids: text(0),
      offsets: joinOffsets(lists),
      tokens: join(
        lists.map((list) => numbers(list.children[0] as Data<Int32>)),
        Int32Array
      ),
      mask: join(
        masks.map((list) => numbers(list.children[0] as Data<Uint8>)),
        Uint8Array
      ),
      promptLength: join((column(3) as Data<Int32>[]).map(numbers), Int32Array),
      reference: text(4)
    }
  })

const numbers = <T extends Int32 | Uint8>(data: Data<T>): T["TArray"] => data.values.subarray(0, data.length)

const joinOffsets = (lists: readonly Data<List>[]): Int32Array => {
  const offsets = new Int32Array(lists.reduce((sum, list) => sum + list.length, 1))
  let row = 0
  for (const list of lists) {
    const start = offsets[row] as number
    for (let i = 1; i <= list.length; i++) offsets[++row] = start + (list.valueOffsets[i] as number)
  }
  return offsets
}

// A single part as it is (a view), several ones copied into one array.
const join = <A extends Int32Array | Uint8Array>(parts: readonly A[], of: new (length: number) => A): A => {
  if (parts.length === 1) return parts[0] as A
  const all = new of(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
