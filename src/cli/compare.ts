// `anneal compare <a> <b...>`: figures and losses side by side, what differs in config and inputs, and the first stage that went another way.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { UsageError } from "#src/domain/Errors.ts"
import type { RunView } from "#src/domain/RunView.ts"
import { cut, harmless, inline, number } from "#src/report/format.ts"
import { markdownTable, type Table, textTable } from "#src/report/table.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { handler } from "./command.ts"
import { openRun, openWorkspace } from "./context.ts"
import { differences, flatten } from "./difference.ts"
import * as flags from "./flags.ts"
import { print, printJson } from "./output.ts"
import { scoresOf } from "./scores.ts"
import { compareLosses, comparedLosses, type Logs, logsOf, type LossComparison } from "./trainingLogs.ts"

/** "stage.figure" -> value, of every stage. */
const figures = (view: RunView): ReadonlyMap<string, number | null> =>
  new Map(view.stages.flatMap((stage) => Object.entries(stage.metrics).map(([name, value]) => [`${stage.id}.${name}`, value] as const)))

/** The first stage, in the first run's order, whose key is not the same in all runs. */
const firstDifference = (views: readonly RunView[]): string | null =>
  views[0]?.stages.find((stage) => {
    const keys = views.map((view) => view.stages.find((other) => other.id === stage.id)?.key ?? null)
    return new Set(keys).size > 1
  })?.id ?? null

interface Sample {
  readonly id: string
  readonly prompt: string
  readonly reference: string
  /** One answer a run; null where the run has none for this row. */
  readonly answers: readonly (string | null)[]
}

const samples = (workspace: WorkspacePaths, views: readonly RunView[]): readonly Sample[] => {
  const perRun = views.map(
    (view) => new Map([...scoresOf(workspace, view).values()].flatMap((scores) => scores.samples.map((s) => [s.id, s])))
  )
  const every = new Map(perRun.flatMap((of) => [...of]))
  return [...every.values()].map(({ id, prompt, reference }) => ({
    id,
    prompt,
    reference,
    answers: perRun.map((of) => of.get(id)?.model ?? null)
  }))
}

interface Comparison {
  readonly runs: readonly string[]
  readonly figures: ReadonlyMap<string, readonly (number | null | undefined)[]>
  readonly config: ReadonlyMap<string, readonly unknown[]>
  readonly losses: ReadonlyMap<string, LossComparison>
  readonly firstDifference: string | null
}

const compared = (views: readonly RunView[], logs: readonly Logs[]): Comparison => {
  const values = views.map(figures)
  const names = [...new Set(values.flatMap((of) => [...of.keys()]))]
  return {
    runs: views.map((view) => view.run),
    figures: new Map(names.map((name) => [name, values.map((of) => of.get(name))])),
    config: differences(views.map((view) => flatten({ ...view.config, ...view.sources }))),
    losses: compareLosses(logs),
    firstDifference: firstDifference(views)
  }
}

const figureTable = ({ runs, figures }: Comparison): Table => ({
  header: ["figure", ...runs, ...(runs.length === 2 ? ["change"] : [])],
  numeric: runs.map((_, index) => index + 1).concat(runs.length + 1),
  named: runs.map((_, index) => index + 1),
  rows: [...figures].map(([name, values]) => {
    const [a, b] = values
    const change = typeof a === "number" && typeof b === "number" ? `${b > a ? "+" : ""}${number(b - a)}` : "-"
    return [name, ...values.map(number), ...(runs.length === 2 ? [change] : [])]
  })
})

const configTable = ({ runs, config }: Comparison, wide: boolean): Table => ({
  header: ["field", ...runs],
  named: runs.map((_, index) => index + 1),
  rows: [...config].map(([path, values]) => [
    path,
    ...values.map((value) => (value === undefined ? "-" : wide ? inline(value) : cut(inline(value), 40)))
  ])
})

const text = (found: Comparison, table: (table: Table) => string, wide: boolean): string =>
  [
    table(figureTable(found)),
    "",
    ...[...found.losses].flatMap(([stage, losses]) => [`${stage}: loss by step`, table(comparedLosses(found.runs, losses)), ""]),
    found.config.size === 0 ? "no config field differs" : table(configTable(found, wide)),
    "",
    found.firstDifference === null ? "all stages have the same keys" : `first stage that differs: ${found.firstDifference}`
  ].join("\n")

const samplesText = (runs: readonly string[], shown: readonly Sample[], wide: boolean): string => {
  const width = Math.max(6, ...runs.map((run) => run.length))
  const line = (name: string, value: string): string => `${name.padEnd(width)}  ${harmless(wide ? value : cut(value, 100))}`
  return shown
    .map((sample) =>
      [
        "",
        line("asked", sample.prompt),
        line("wanted", sample.reference),
        ...sample.answers.map((a, i) => line(runs[i] ?? "", a ?? "-"))
      ].join("\n")
    )
    .join("\n")
}

const lossJson = ({ steps, losses }: LossComparison, byRun: <T>(values: readonly T[]) => Readonly<Record<string, T | null>>) =>
  steps.map((step, i) => ({ step, loss: byRun(losses.map((of) => of[i] ?? null)) }))

const jsonOf = (found: Comparison, shown: readonly Sample[] | undefined) => {
  const byRun = <T>(values: readonly T[]): Readonly<Record<string, T | null>> =>
    Object.fromEntries(found.runs.map((run, index) => [run, values[index] ?? null]))
  return {
    runs: found.runs,
    metrics: Object.fromEntries([...found.figures].map(([name, values]) => [name, byRun(values)])),
    config: Object.fromEntries([...found.config].map(([path, values]) => [path, byRun(values)])),
    firstDifference: found.firstDifference,
    ...(found.losses.size === 0
      ? {}
      : { losses: Object.fromEntries([...found.losses].map(([stage, of]) => [stage, lossJson(of, byRun)])) }),
    ...(shown === undefined ? {} : { samples: shown.map((sample) => ({ ...sample, answers: byRun(sample.answers) })) })
  }
}

export const compareCommand = Command.make(
  "compare",
  {
    runs: Argument.String("run").pipe(Argument.withDescription("names of runs, or latest"), Argument.variadic()),
    samples: Flag.Boolean("samples").pipe(Flag.withDescription("the sampled answers, row by row"), Flag.withDefault(false)),
    json: flags.json,
    md: flags.markdown,
    wide: flags.wide,
    artifacts: flags.artifacts
  },
  handler(async (input) => {
    if (input.runs.length < 2)
      throw new UsageError({ message: "compare needs two runs or more", hint: "anneal compare <run> <run>; names: anneal runs" })
    const workspace = openWorkspace(input.artifacts)
    const views = await Promise.all(input.runs.map((run) => openRun(workspace, run)))
    const found = compared(views, await Promise.all(views.map((view) => logsOf(workspace, view))))
    const shown = input.samples ? samples(workspace, views) : undefined
    if (input.json) return printJson(jsonOf(found, shown))
    print(text(found, input.md ? markdownTable : textTable, input.wide))
    if (shown !== undefined) print(samplesText(found.runs, shown, input.wide))
  })
).pipe(
  Command.withDescription("Runs side by side: figures, the loss at the same steps, changed config, the first stage that differs."),
  Command.withExamples([
    { command: "anneal compare base-01 latest", description: "two runs" },
    { command: "anneal compare base-01 latest --samples", description: "with their answers to the same rows" }
  ])
)
