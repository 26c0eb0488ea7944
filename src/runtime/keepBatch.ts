// Keeps the rows of a step that is unusual or broke training, for a look at them: ids, tokens and loss mask as JSON.
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { TokenRows } from "#src/batching/rows.ts"

/** Returns the path of the file, one per step. */
export const keepBatch = (folder: string, step: number, ids: readonly string[], rows: TokenRows, members: readonly number[]): string => {
  const path = join(folder, `batch-step-${step}.json`)
  const kept = members.map((row) => {
    const [start, end] = [rows.offsets[row] as number, rows.offsets[row + 1] as number]
    return { id: ids[row], tokens: Array.from(rows.tokens.subarray(start, end)), mask: Array.from(rows.mask.subarray(start, end)) }
  })
  mkdirSync(folder, { recursive: true })
  writeFileSync(path, JSON.stringify({ step, rows: kept }))
  return path
}
