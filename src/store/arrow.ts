// Arrow IPC files for tables: fixed batches and no timestamps, so that the same rows always give the same bytes.
// Columns are built from typed arrays (makeData): builders that take JavaScript values are ten times slower.
import { createWriteStream } from "node:fs"
import { readFile } from "node:fs/promises"
import { pipeline } from "node:stream/promises"
import { setImmediate } from "node:timers/promises"
import { type Data, List, makeData, RecordBatch, RecordBatchFileWriter, type Schema, Struct, tableFromIPC, Utf8 } from "apache-arrow"
import type { DataType, Field } from "apache-arrow"
import { DataError, isAnnealError } from "#src/domain/Errors.ts"

/** Rows per record batch. Offsets within a batch are 32-bit, so a batch holds less than 2 GiB of text. */
export const batchRows = 8192

/** Writes `rows` rows in batches; `column data of rows [from, to)` comes from `columns`, in the schema's order. */
export const writeTable = async (
  path: string,
  schema: Schema,
  rows: number,
  columns: (from: number, to: number) => readonly Data[]
): Promise<void> => {
  const writer = new RecordBatchFileWriter()
  writer.reset(undefined, schema)
  const written = pipeline(writer, createWriteStream(path))
  const batches = async () => {
    for (let from = 0; from < rows; from += batchRows) {
      const to = Math.min(from + batchRows, rows)
      const data = makeData({ type: new Struct(schema.fields), length: to - from, nullCount: 0, children: [...columns(from, to)] })
      writer.write(new RecordBatch(schema, data))
      // Lets the file stream take what was written, so that the whole table is never held twice.
      await setImmediate()
    }
  }
  await Promise.all([written, batches().finally(() => writer.finish())])
}

/** Offsets of a text column are signed 32-bit. */
const longestText = 2 ** 31 - 1
const magic = "ARROW1"

/**
 * Reads a whole table and decodes its batches (none is empty); columns are views on the file's bytes.
 * @throws DataError where the file is missing, cut short or not Arrow; what `decode` throws of its own kind passes
 */
export const readTable = async <A>(path: string, decode: (schema: Schema, batches: readonly RecordBatch[]) => A): Promise<A> => {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new DataError({ message: `the table cannot be read: ${path}`, where: path, why: String(cause) })
  })
  const damaged = (why: string) =>
    new DataError({
      message: "the table file is damaged",
      where: path,
      why,
      hint: "run anneal doctor; a stage whose result is damaged is made again by the next run"
    })
  if (bytes.toString("latin1", 0, 6) !== magic) throw damaged("it does not begin as an Arrow file")
  if (bytes.toString("latin1", bytes.length - 6) !== magic) throw damaged(`it ends too early, after ${bytes.length} bytes`)
  try {
    const table = tableFromIPC(bytes)
    return decode(
      table.schema,
      table.batches.filter((batch) => batch.numRows > 0)
    )
  } catch (cause) {
    if (isAnnealError(cause)) throw cause
    throw damaged(cause instanceof Error ? cause.message : String(cause))
  }
}

/** A text column; undefined becomes null. */
export const textData = (values: readonly (string | undefined)[]): Data<Utf8> => {
  const offsets = new Int32Array(values.length + 1)
  const nullBitmap = new Uint8Array((values.length + 7) >> 3)
  let end = 0
  let nullCount = 0
  values.forEach((value, i) => {
    if (value === undefined) nullCount++
    else {
      nullBitmap[i >> 3]! |= 1 << (i & 7)
      end += Buffer.byteLength(value)
    }
    offsets[i + 1] = end
  })
  if (end > longestText) {
    throw new DataError({
      message: `${values.length} rows hold ${end} bytes of text in one field; a table takes 2 GiB per ${batchRows} rows`,
      hint: "cut long texts into several rows"
    })
  }
  const bytes = Buffer.alloc(end)
  values.forEach((value, i) => value !== undefined && bytes.write(value, offsets[i]))
  const base = { type: new Utf8(), length: values.length, valueOffsets: offsets, data: bytes }
  return makeData(nullCount === 0 ? { ...base, nullCount } : { ...base, nullCount, nullBitmap })
}

/** A list column: row i holds items [offsets[i], offsets[i + 1]) of `items`. */
export const listData = <T extends DataType>(item: Field<T>, offsets: Int32Array, items: Data<T>): Data<List<T>> =>
  makeData({ type: new List(item), length: offsets.length - 1, nullCount: 0, valueOffsets: offsets, child: items })

/** The strings of one text column of one batch; null becomes undefined. */
export const textValues = (data: Data): readonly (string | undefined)[] => {
  const { values, valueOffsets } = data as Data<Utf8>
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
  return Array.from({ length: data.length }, (_, i) =>
    data.nullCount > 0 && !data.getValid(i) ? undefined : bytes.toString("utf8", valueOffsets[i], valueOffsets[i + 1])
  )
}
