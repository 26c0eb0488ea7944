// Reads the source files in order, decodes every record into a row and reports those that do not fit.
import { DataError } from "#src/domain/Errors.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import type { StageContext } from "#src/domain/StageContext.ts"
import { writeRows } from "#src/store/rows.ts"
import { type Content, withIds } from "#src/text/rowContent.ts"
import { type BadField, makeDecode } from "./decode.ts"
import { readRecords } from "./records.ts"
import type { IngestConfig } from "./stage.ts"

interface BadRow extends BadField {
  readonly file: string
  readonly at: string
}

const shownBadRows = 5

const place = ({ file, at, field }: BadRow): string => `${file} ${at}${field === undefined ? "" : `, field ${field}`}`
const listed = (bad: readonly BadRow[]): string => {
  const more = bad.length > shownBadRows ? `; and ${bad.length - shownBadRows} more` : ""
  return (
    bad
      .slice(0, shownBadRows)
      .map((row) => `${place(row)}: ${row.problem}`)
      .join("; ") + more
  )
}

/** @throws DataError where a file cannot be read, a row does not fit (unless onBadRow is "drop"), or no row is left */
export const run = async (context: StageContext<IngestConfig>): Promise<StageResult> => {
  const { config } = context
  const names = [config.from].flat()
  const paths = [context.files["from"] ?? []].flat()
  const decode = makeDecode(config)
  const contents: Content[] = []
  const bad: BadRow[] = []
  const ignored = new Map<string, number>()
  const total = () => contents.length + bad.length
  for (const [i, path] of paths.entries()) {
    if (total() === config.limit) break
    const file = names[i] ?? path
    const before = total()
    for await (const record of await readRecords(path, file, config)) {
      if (total() === config.limit) break
      const row = "problem" in record ? record : decode(record.value)
      if ("problem" in row) bad.push({ ...row, file, at: record.at })
      else {
        contents.push(row.content)
        for (const key of row.ignored) ignored.set(key, (ignored.get(key) ?? 0) + 1)
      }
    }
    if (total() === before) throw new DataError({ message: "the file holds no rows", where: file })
  }
  const all = total()
  if (bad.length > 0 && config.onBadRow === "fail") throw badRows(bad, all, config)
  if (bad.length > 0) context.emit({ _tag: "Log", level: "warning", text: `dropped ${bad.length} of ${all} rows: ${listed(bad)}` })
  if (contents.length === 0)
    throw new DataError({ message: "no row is left", where: names.join(", "), why: `all ${all} rows were dropped` })
  if (ignored.size > 0) {
    const keys = [...ignored].map(([key, rows]) => `${key} (${rows} rows)`).join(", ")
    context.emit({ _tag: "Log", level: "info", text: `keys that ${config.as} rows do not have were ignored: ${keys}` })
  }
  await writeRows(context.output("rows"), config.as, withIds(config.as, contents))
  return {
    rows: { rows: contents.length },
    metrics: { rows: contents.length, dropped: bad.length },
    summary: `${contents.length} ${config.as} rows${bad.length === 0 ? "" : `, ${bad.length} dropped`}`
  }
}

const badRows = (bad: readonly BadRow[], all: number, config: IngestConfig): DataError => {
  const [first] = bad as readonly [BadRow]
  return new DataError({
    message:
      bad.length === 1 ? `a row does not fit ${config.as}: ${first.problem}` : `${bad.length} of ${all} rows do not fit ${config.as}`,
    where: place(first),
    ...(bad.length === 1 ? {} : { why: listed(bad) }),
    hint: 'correct the file, map names with columns, or set onBadRow: "drop"'
  })
}
