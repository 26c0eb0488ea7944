// `anneal runs`: every run of the workspace, newest first, with its outcome, what was set and its figures.
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { UsageError } from "#src/domain/Errors.ts"
import { hintFor } from "#src/domain/nearest.ts"
import { duration, inline, number } from "#src/report/format.ts"
import { csvTable, markdownTable, type Table, textTable } from "#src/report/table.ts"
import type { RunRow } from "#src/store/records.ts"
import { handler } from "./command.ts"
import { askCatalog, openWorkspace } from "./context.ts"
import * as flags from "./flags.ts"
import { print, printJson } from "./output.ts"
import { figuresJson } from "./stageJson.ts"

/** "train.learningRate=0.0001 ...": what makes this run differ from the pipeline file. */
const overridesText = (row: RunRow): string =>
  Object.entries(row.overrides)
    .map(([path, value]) => `${path}=${inline(value)}`)
    .join(" ")

const figures = (row: RunRow): ReadonlyMap<string, number | null> =>
  new Map(row.stages.flatMap((stage) => Object.entries(stage.metrics).map(([name, value]) => [`${stage.stage}.${name}`, value] as const)))

const seconds = (row: RunRow): number | null => (row.ended === null ? null : (Date.parse(row.ended) - Date.parse(row.started)) / 1000)

/** What --filter and --sort can name: the row's own columns (time in seconds) and every figure as stage.name. */
const cell = (row: RunRow, column: string): string | number | null | undefined => {
  switch (column) {
    case "run":
    case "pipeline":
    case "outcome":
    case "started":
      return row[column]
    case "time":
      return seconds(row)
    case "set":
      return overridesText(row)
    default: {
      const figure = figures(row).get(column)
      return figure === undefined && row.overrides[column] !== undefined ? inline(row.overrides[column]) : figure
    }
  }
}

const ownColumns = ["run", "pipeline", "outcome", "started", "time", "set"]

/** @throws UsageError for a column that no run has */
const checkColumn = (rows: readonly RunRow[], column: string): void => {
  const known = [...new Set([...ownColumns, ...rows.flatMap((row) => [...figures(row).keys(), ...Object.keys(row.overrides)])])]
  if (rows.length > 0 && !known.includes(column)) throw new UsageError({ message: `no run has "${column}"`, hint: hintFor(column, known) })
}

/** "field=value", "field!=value", "field<3", "field>3": text compares whole, numbers by size. */
const filterOf = (text: string): { readonly column: string; readonly test: (value: string | number | null | undefined) => boolean } => {
  const [, column, operator, wanted] = /^([^=!<>]+)(!=|=|<|>)(.*)$/.exec(text) ?? []
  if (column === undefined || wanted === undefined)
    throw new UsageError({ message: `--filter ${text} is no comparison`, hint: "write it as outcome=done, or as evaluate.perplexity<12" })
  const compare = {
    "=": (value: unknown) => String(value) === wanted,
    "!=": (value: unknown) => String(value) !== wanted,
    "<": (value: unknown) => typeof value === "number" && value < Number(wanted),
    ">": (value: unknown) => typeof value === "number" && value > Number(wanted)
  }[operator as "=" | "!=" | "<" | ">"]
  return { column, test: compare }
}

const chosen = (rows: readonly RunRow[], filters: readonly string[]): readonly RunRow[] =>
  filters.map(filterOf).reduce((kept, { column, test }) => {
    checkColumn(rows, column)
    return kept.filter((row) => test(cell(row, column)))
  }, rows)

const sorted = (rows: readonly RunRow[], by: string | undefined): readonly RunRow[] => {
  if (by === undefined) return rows
  const [column, sign] = by.startsWith("-") ? [by.slice(1), -1] : [by, 1]
  checkColumn(rows, column)
  // Runs without the value come last, either way.
  return rows.toSorted((a, b) => {
    const [x, y] = [cell(a, column) ?? null, cell(b, column) ?? null]
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1
    return (x < y ? -1 : x > y ? 1 : 0) * sign
  })
}

/** Figures of `evaluate` first, then those of the other stages. */
const figureNames = (rows: readonly RunRow[]): readonly string[] =>
  [...new Set(rows.flatMap((row) => [...figures(row).keys()]))].toSorted(
    (a, b) => Number(b.startsWith("evaluate.")) - Number(a.startsWith("evaluate."))
  )

/** The first figures in which the runs differ, as many as a table has room for; of one run its first figures. */
const tellingFigures = (rows: readonly RunRow[]): readonly string[] => {
  const names = figureNames(rows)
  const differ = names.filter((name) => new Set(rows.map((row) => figures(row).get(name))).size > 1)
  return (differ.length === 0 ? names : differ).slice(0, 4)
}

const tableOf = (rows: readonly RunRow[], columns: readonly string[]): Table => ({
  header: [...ownColumns, ...columns],
  numeric: [4, ...columns.map((_, index) => index + 6)],
  named: columns.map((_, index) => index + 6),
  rows: rows.map((row) => {
    const time = seconds(row)
    const values = figures(row)
    return [
      row.run,
      row.pipeline,
      row.outcome,
      row.started.slice(0, 16).replace("T", " "),
      time === null ? "-" : duration(time * 1000),
      overridesText(row),
      ...columns.map((name) => number(values.get(name)))
    ]
  })
})

/** For programs: times and figures with all their digits, a figure that is not finite as NaN, one that is not there left empty. */
const csvOf = (rows: readonly RunRow[]): Table => {
  const names = figureNames(rows)
  const figure = (value: number | null | undefined): string => String(value === null ? Number.NaN : (value ?? ""))
  return {
    header: [...ownColumns, ...names],
    rows: rows.map((row) => [
      ...ownColumns.map((column) => String(cell(row, column) ?? "")),
      ...names.map((name) => figure(figures(row).get(name)))
    ])
  }
}

const rowJson = (row: RunRow) => ({
  run: row.run,
  pipeline: row.pipeline,
  outcome: row.outcome,
  startedAt: row.started,
  endedAt: row.ended,
  git: row.git,
  overrides: row.overrides,
  ...figuresJson(Object.fromEntries(figures(row))),
  stages: row.stages.map((stage) => ({ id: stage.stage, outcome: stage.outcome, key: stage.key }))
})

export const runsCommand = Command.make(
  "runs",
  {
    filter: Flag.String("filter").pipe(Flag.withDescription("keep runs where field=value, !=, < or > holds; repeatable"), Flag.atLeast(0)),
    sort: flags.maybe(
      Flag.String("sort").pipe(Flag.withDescription("a column or figure, with a dash before it for falling; default: newest first"))
    ),
    all: Flag.Boolean("all-columns").pipe(
      Flag.withDescription("every figure, not only the first in which the runs differ"),
      Flag.withDefault(false)
    ),
    json: flags.json,
    csv: Flag.Boolean("csv").pipe(
      Flag.withDescription("print CSV: every figure with all its digits, times in seconds"),
      Flag.withDefault(false)
    ),
    md: flags.markdown,
    artifacts: flags.artifacts
  },
  handler(async ({ filter, sort, all, json, csv, md, artifacts }) => {
    const every = await askCatalog(openWorkspace(artifacts), (catalog) => catalog.runs())
    const rows = sorted(chosen(every, filter), sort)
    if (json) return printJson({ runs: rows.map(rowJson) })
    if (csv) return print(csvTable(csvOf(rows)))
    const table = tableOf(rows, all ? figureNames(rows) : tellingFigures(rows))
    if (md) return print(markdownTable(table))
    print(rows.length === 0 ? `no run${filter.length > 0 ? " matches" : " yet: anneal run <pipeline>"}` : textTable(table))
  })
).pipe(
  Command.withDescription("All runs, newest first."),
  Command.withExamples([
    { command: "anneal runs --filter outcome=done --sort=evaluate.perplexity", description: "the best finished runs" },
    { command: "anneal runs --csv", description: "for a spreadsheet" }
  ])
)
