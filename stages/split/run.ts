// Assigns every row to train, validation or test; each part keeps the order of the rows.
import { DataError } from "#src/domain/Errors.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import type { StageContext } from "#src/domain/StageContext.ts"
import { readRows, type RowsTable, writeRows } from "#src/store/rows.ts"
import { contentKey, fieldNames } from "#src/text/rowContent.ts"
import { assign, parts } from "./assign.ts"
import type { SplitConfig } from "./stage.ts"

/** @throws DataError where stratifyBy is no field of the rows, or a part would be empty */
export const run = async (context: StageContext<SplitConfig>): Promise<StageResult> => {
  const { config, inputs } = context
  const table = await readRows(inputs["rows"]?.path as string)
  const field = stratum(table, config)
  const items = table.rows.map((row) => ({
    key: contentKey(table.kind, row),
    stratum: field === undefined ? "" : (((row as Readonly<Record<string, unknown>>)[field] as string | undefined) ?? "")
  }))
  const assignment = assign(items, config, config.seed)
  const rowsOf = Object.fromEntries(parts.map((part) => [part, table.rows.filter((_, i) => assignment.parts[i] === part)]))
  for (const part of parts) {
    if (rowsOf[part]?.length === 0 && (part === "train" || config[part] > 0)) throw tooFew(part, items)
  }
  if (assignment.small.length > 0) {
    const names = assignment.small.slice(0, 5).map((value) => `"${value}"`)
    const more = assignment.small.length > 5 ? ` and ${assignment.small.length - 5} more` : ""
    const text = `too few distinct rows to stand in every part, so all of them are in train: ${field} ${names.join(", ")}${more}`
    context.emit({ _tag: "Log", level: "warning", text })
  }
  for (const part of parts) await writeRows(context.output(part), table.kind, rowsOf[part] ?? [])
  const counts = Object.fromEntries(parts.map((part) => [part, rowsOf[part]?.length ?? 0]))
  return {
    rows: counts,
    metrics: counts,
    summary: parts.map((part) => `${part} ${counts[part]}`).join(", ") + (field === undefined ? "" : `; shares of ${field} kept`)
  }
}

const stratum = ({ kind }: RowsTable, { stratifyBy }: SplitConfig): string | undefined => {
  if (stratifyBy === undefined) return kind === "classification" ? "label" : undefined
  const names = fieldNames(kind).filter((name) => name !== "messages")
  if (names.includes(stratifyBy)) return stratifyBy
  throw new DataError({ message: `stratifyBy "${stratifyBy}" is no field of ${kind} rows`, hint: `fields: ${names.join(", ") || "none"}` })
}

const tooFew = (part: string, items: readonly { readonly key: string }[]): DataError =>
  new DataError({
    message: `the ${part} part would be empty`,
    why: `${items.length} rows, ${new Set(items.map((item) => item.key)).size} of them distinct, are too few for these shares`,
    hint: "give more rows, or set the share of a part to 0"
  })
