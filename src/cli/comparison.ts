// What `compare` prints: the figures that differ with how sure that is, losses at the same steps, changed config, answers.
import { cut, harmless, inline, number, plural, signed } from "#src/report/format.ts"
import type { Table } from "#src/report/table.ts"
import { comparedLosses, type LossComparison } from "./trainingLogs.ts"
import type { Verdict } from "./verdicts.ts"

export interface Comparison {
  readonly runs: readonly string[]
  /** By "stage.figure", one value a run. */
  readonly figures: ReadonlyMap<string, readonly (number | null | undefined)[]>
  /** The same figures where two runs scored the same rows. */
  readonly verdicts: ReadonlyMap<string, Verdict>
  readonly config: ReadonlyMap<string, readonly unknown[]>
  readonly losses: ReadonlyMap<string, LossComparison>
  readonly firstDifference: string | null
}

export interface Sample {
  readonly id: string
  readonly prompt: string
  readonly reference: string
  /** One answer a run; null where the run has none for this row. */
  readonly answers: readonly (string | null)[]
}

export interface TextOptions {
  readonly table: (table: Table) => string
  /** Figures that are the same in all runs too. */
  readonly all: boolean
  /** Columns that a line may have. */
  readonly width: number
}

const verdictText = ({ verdict }: Verdict): string => (verdict === "tie" ? "tie: within noise" : verdict)

const figureTable = ({ runs, figures, verdicts }: Comparison, all: boolean): Table => {
  const two = runs.length === 2
  const shown = [...figures].filter(([, values]) => all || new Set(values).size > 1)
  return {
    header: ["figure", ...runs, ...(two ? ["change"] : []), ...(verdicts.size > 0 ? ["95 % interval", runs[1]!] : [])],
    numeric: Array.from({ length: runs.length + (two ? 2 : 0) }, (_, index) => index + 1),
    named: [...runs.map((_, index) => index + 1), runs.length + 3],
    rows: shown.map(([name, values]) => {
      const [a, b] = values
      const verdict = verdicts.get(name)
      const change = typeof a === "number" && typeof b === "number" ? signed(b - a) : "-"
      const sure = verdict === undefined ? ["", ""] : [`${signed(verdict.low)} .. ${signed(verdict.high)}`, verdictText(verdict)]
      return [name, ...values.map(number), ...(two ? [change] : []), ...(verdicts.size > 0 ? sure : [])]
    })
  }
}

const figureLines = (found: Comparison, { table, all }: TextOptions): readonly string[] => {
  const same = [...found.figures.values()].filter((values) => new Set(values).size === 1).length
  const hidden = all || same === 0 ? [] : [`${plural(same, "figure")} the same in all runs: --all shows them`]
  if (!all && same === found.figures.size) return hidden.length === 0 ? ["no figure in any run"] : hidden
  return [table(figureTable(found, all)), ...hidden]
}

const configTable = ({ runs, config }: Comparison, width: number): Table => ({
  header: ["field", ...runs],
  named: runs.map((_, index) => index + 1),
  rows: [...config].map(([path, values]) => [path, ...values.map((value) => (value === undefined ? "-" : cut(inline(value), width)))])
})

/** Columns of one value of the config. */
const valueWidth = ({ runs }: Comparison, width: number): number => Math.max(20, Math.floor((width - 30) / runs.length) - 2)

export const comparisonText = (found: Comparison, options: TextOptions): string =>
  [
    ...figureLines(found, options),
    "",
    ...[...found.losses].flatMap(([stage, losses]) => [`${stage}: loss by step`, options.table(comparedLosses(found.runs, losses)), ""]),
    found.config.size === 0 ? "no config field differs" : options.table(configTable(found, valueWidth(found, options.width))),
    "",
    found.firstDifference === null ? "all stages have the same keys" : `first stage that differs: ${found.firstDifference}`
  ].join("\n")

export const samplesText = (runs: readonly string[], shown: readonly Sample[], width: number): string => {
  const names = Math.max(6, ...runs.map((run) => run.length))
  const line = (name: string, value: string): string => `${name.padEnd(names)}  ${harmless(cut(value, width - names - 2))}`
  return shown
    .map(({ prompt, reference, answers }) =>
      ["", line("asked", prompt), line("wanted", reference), ...answers.map((answer, i) => line(runs[i] ?? "", answer ?? "-"))].join("\n")
    )
    .join("\n")
}

/** For Markdown: a row a question. */
export const samplesTable = (runs: readonly string[], shown: readonly Sample[]): Table => ({
  header: ["asked", "wanted", ...runs],
  rows: shown.map(({ prompt, reference, answers }) =>
    [prompt, reference, ...answers.map((answer) => answer ?? "-")].map((text) => harmless(cut(text, Infinity)))
  )
})
