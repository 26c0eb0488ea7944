// Reads the reference runs of ../shared/parity: batches as token rows with an explicit order, tensors, tolerances.
import { existsSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import type { Order } from "#src/batching/order.ts"
import type { TokenRows } from "#src/batching/rows.ts"
import { openTensorFile, readTensor } from "#src/models/weights.ts"

export const shared = resolve(import.meta.dirname, "../../../shared")
export const parity = (...path: readonly string[]): string => join(shared, "parity", ...path)
export const hasParity = existsSync(parity("README.md"))
if (!hasParity) console.log("skipped: the reference numbers of ../shared/parity are not here")

export const json = <T>(path: string): T => JSON.parse(readFileSync(path, "utf8")) as T

export interface ReferenceBatch {
  readonly input_ids: readonly (readonly number[])[]
  readonly attention_mask: readonly (readonly number[])[]
  readonly labels: readonly (readonly number[])[]
}

export interface ReferenceRow {
  readonly input_ids: readonly number[]
  readonly labels: readonly number[]
}

export const toRows = (rows: readonly ReferenceRow[]): TokenRows => {
  const offsets = Int32Array.from([0, ...rows.map((_, i) => rows.slice(0, i + 1).reduce((sum, row) => sum + row.input_ids.length, 0))])
  return {
    offsets,
    tokens: Int32Array.from(rows.flatMap((row) => row.input_ids)),
    mask: Uint8Array.from(rows.flatMap((row) => row.labels.map((label) => (label === -100 ? 0 : 1))))
  }
}

/** Steps of micro-batches as one table of rows and the order that reads them again as they were. */
export const toRun = (
  steps: readonly (readonly ReferenceBatch[])[],
  stepsPerEpoch = steps.length
): { readonly rows: TokenRows; readonly order: Order } => {
  const rows: ReferenceRow[] = []
  const groups = steps.map((batches) =>
    batches.map((batch) =>
      batch.input_ids.map((ids, b) => {
        const length = (batch.attention_mask[b] as readonly number[]).lastIndexOf(1) + 1
        return rows.push({ input_ids: ids.slice(0, length), labels: (batch.labels[b] as readonly number[]).slice(0, length) }) - 1
      })
    )
  )
  return { rows: toRows(rows), order: { stepsPerEpoch, totalSteps: steps.length, group: (step) => groups[step] as number[][] } }
}

/** Tensors of a safetensors file by name. */
export const tensorsOf = (path: string): ReadonlyMap<string, Float32Array> =>
  new Map([...openTensorFile(path)].map(([name, tensor]) => [name, readTensor(tensor)]))

/** ||a - b|| / ||a - start||: how far two ends lie apart, measured by the way that was made. */
export const driftOf = (a: readonly Float32Array[], b: readonly Float32Array[], start: readonly Float32Array[]): number => {
  const distance = (x: readonly Float32Array[], y: readonly Float32Array[]): number =>
    Math.sqrt(x.reduce((sum, array, i) => sum + array.reduce((s, v, k) => s + (v - ((y[i] as Float32Array)[k] as number)) ** 2, 0), 0))
  return distance(a, b) / distance(a, start)
}
