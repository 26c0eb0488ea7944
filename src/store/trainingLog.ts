// A log artifact: log.arrow with a row a training step, alerts.json, and the batches that alerts have kept.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Data, Field, Float64, Int32, makeData, Schema } from "apache-arrow"
import * as EffectSchema from "effect/Schema"
import { type LogRow, TrainingAlert } from "#src/domain/TrainingLog.ts"
import { readTable, writeTable } from "./arrow.ts"

const tableFile = "log.arrow"
const alertsFile = "alerts.json"
const Alerts = EffectSchema.fromJsonString(EffectSchema.Array(TrainingAlert))

/** In the order of the table's columns: whether a value may be null. */
const columns = [
  ["step", false],
  ["loss", true],
  ["gradNorm", true],
  ["learningRate", false],
  ["tokens", false],
  ["relativeUpdate", true],
  ["validationLoss", true]
] as const satisfies readonly (readonly [keyof LogRow, boolean])[]
const isWhole = (name: keyof LogRow): boolean => name === "step" || name === "tokens"

const schema = new Schema(
  columns.map(([name, nullable]) => new Field(name, isWhole(name) ? new Int32() : new Float64(), nullable)),
  new Map([["anneal.log", "1"]])
)

export interface TrainingLog {
  readonly rows: readonly LogRow[]
  readonly alerts: readonly TrainingAlert[]
}

/** Writes the folder; the same log always gives the same bytes. `batches` is the folder that has the files that alerts name. */
export const writeTrainingLog = async (folder: string, { rows, alerts }: TrainingLog, batches: string): Promise<void> => {
  mkdirSync(folder, { recursive: true })
  await writeTable(join(folder, tableFile), schema, rows.length, (from, to) =>
    columns.map(([name]) => columnData(rows.slice(from, to), name))
  )
  writeFileSync(join(folder, alertsFile), `${JSON.stringify(alerts, undefined, 2)}\n`)
  for (const { batch } of alerts) if (batch !== undefined) copyFileSync(join(batches, batch), join(folder, batch))
}

const columnData = (rows: readonly LogRow[], name: keyof LogRow): Data => {
  const length = rows.length
  if (isWhole(name)) return makeData({ type: new Int32(), length, nullCount: 0, data: Int32Array.from(rows, (row) => row[name] as number) })
  const data = Float64Array.from(rows, (row) => row[name] ?? 0)
  const nullCount = rows.filter((row) => row[name] === null).length
  if (nullCount === 0) return makeData({ type: new Float64(), length, nullCount, data })
  const nullBitmap = new Uint8Array((length + 7) >> 3)
  rows.forEach((row, i) => row[name] !== null && (nullBitmap[i >> 3]! |= 1 << (i & 7)))
  return makeData({ type: new Float64(), length, nullCount, nullBitmap, data })
}

/** Reads a log folder; undefined where it is not there (any more). @throws DataError where it is damaged */
export const readTrainingLog = async (folder: string): Promise<TrainingLog | undefined> => {
  if (!existsSync(join(folder, tableFile))) return undefined
  const rows = await readTable(join(folder, tableFile), (_, batches) =>
    batches.flatMap((batch) =>
      Array.from({ length: batch.numRows }, (_, i) => {
        const value = (c: number): number | null => {
          const data = batch.data.children[c] as Data<Int32> | Data<Float64>
          return data.nullCount > 0 && !data.getValid(i) ? null : (data.values[i] as number)
        }
        return Object.fromEntries(columns.map(([name], c) => [name, value(c)])) as unknown as LogRow
      })
    )
  )
  return { rows, alerts: EffectSchema.decodeUnknownSync(Alerts)(readFileSync(join(folder, alertsFile), "utf8")) }
}
