// `anneal compare <a> <b...>`: figures and losses side by side, what differs in config and inputs, and the first stage that went another way.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { UsageError } from "#src/domain/Errors.ts"
import type { RunView } from "#src/domain/RunView.ts"
import type { Scores } from "#src/domain/Scores.ts"
import { markdownTable, textTable } from "#src/report/table.ts"
import { handler } from "./command.ts"
import { type Comparison, comparisonText, type Sample, samplesTable, samplesText } from "./comparison.ts"
import { openRun, openWorkspace } from "./context.ts"
import { differences, flatten } from "./difference.ts"
import * as flags from "./flags.ts"
import { columnsOf, print, printJson } from "./output.ts"
import { scoresOf } from "./scores.ts"
import { compareLosses, type Logs, logsOf, type LossComparison } from "./trainingLogs.ts"
import { verdictsOf } from "./verdicts.ts"

/** By stage. */
type RunScores = ReadonlyMap<string, Scores>

/** "stage.figure" -> value, of every stage. */
const figures = (view: RunView): ReadonlyMap<string, number | null> =>
  new Map(view.stages.flatMap((stage) => Object.entries(stage.metrics).map(([name, value]) => [`${stage.id}.${name}`, value] as const)))

/** The first stage, in the first run's order, whose key is not the same in all runs. */
const firstDifference = (views: readonly RunView[]): string | null =>
  views[0]?.stages.find((stage) => {
    const keys = views.map((view) => view.stages.find((other) => other.id === stage.id)?.key ?? null)
    return new Set(keys).size > 1
  })?.id ?? null

const samples = (perRun: readonly RunScores[]): readonly Sample[] => {
  const byRow = perRun.map(
    (run) => new Map([...run].flatMap(([stage, scores]) => scores.samples.map((sample) => [`${stage} ${sample.id}`, sample] as const)))
  )
  const every = new Map(byRow.flatMap((of) => [...of]))
  const found = [...every].map(([row, { id, prompt, reference }]) => ({
    id,
    prompt,
    reference,
    answers: byRow.map((of) => of.get(row)?.model ?? null)
  }))
  // Where all say the same there is less to see.
  return found.toSorted((x, y) => Number(isSame(x)) - Number(isSame(y)))
}

const isSame = ({ answers }: Sample): boolean => new Set(answers).size === 1

const compared = (views: readonly RunView[], logs: readonly Logs[], scores: readonly RunScores[]): Comparison => {
  const values = views.map(figures)
  const names = [...new Set(values.flatMap((of) => [...of.keys()]))]
  const [first, second, third] = scores
  return {
    runs: views.map((view) => view.run),
    figures: new Map(names.map((name) => [name, values.map((of) => of.get(name))])),
    verdicts: first !== undefined && second !== undefined && third === undefined ? verdictsOf(first, second) : new Map(),
    config: differences(views.map((view) => flatten({ ...view.config, ...view.sources }))),
    losses: compareLosses(logs),
    firstDifference: firstDifference(views)
  }
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
    ...(found.verdicts.size === 0 ? {} : { verdicts: Object.fromEntries(found.verdicts) }),
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
    all: Flag.Boolean("all").pipe(Flag.withDescription("figures that are the same in all runs too"), Flag.withDefault(false)),
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
    const scores = views.map((view) => scoresOf(workspace, view))
    const found = compared(views, await Promise.all(views.map((view) => logsOf(workspace, view))), scores)
    const shown = input.samples ? samples(scores) : undefined
    if (input.json) return printJson(jsonOf(found, shown))
    const width = input.wide || input.md ? Infinity : columnsOf(process.stdout)
    print(comparisonText(found, { table: input.md ? markdownTable : textTable, all: input.all, width }))
    if (shown !== undefined) print(input.md ? `\n${markdownTable(samplesTable(found.runs, shown))}` : samplesText(found.runs, shown, width))
  })
).pipe(
  Command.withDescription("Runs side by side: figures, the loss at the same steps, changed config, the first stage that differs."),
  Command.withExamples([
    { command: "anneal compare base-01 latest", description: "two runs" },
    { command: "anneal compare base-01 latest --samples", description: "with their answers to the same rows" }
  ])
)
