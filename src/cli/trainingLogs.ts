// The logs of a run's trainings as people read them: a few steps of the curve, and the alerts.
import type { LogRow, TrainingAlert } from "#src/domain/TrainingLog.ts"
import type { RunView, StageView } from "#src/domain/RunView.ts"
import { fixed, number } from "#src/report/format.ts"
import type { Table } from "#src/report/table.ts"
import type { Theme } from "#src/report/Theme.ts"
import { objectPath } from "#src/store/Objects.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"

interface Log {
  readonly rows: readonly LogRow[]
  readonly alerts: readonly TrainingAlert[]
}
/** By stage. */
export type Logs = ReadonlyMap<string, Log>

/** The log of each stage of a run that made or reused one; Arrow is loaded where there is one. */
export const logsOf = async (workspace: WorkspacePaths, view: RunView): Promise<Logs> => {
  const logs = new Map<string, Log>()
  for (const stage of view.stages) {
    const output = stage.outputs.find(({ kind }) => kind === "log")
    if (output === undefined) continue
    const { readTrainingLog } = await import("#src/store/trainingLog.ts")
    const log = await readTrainingLog(objectPath(workspace, output.digest))
    if (log !== undefined && log.rows.length > 0) logs.set(stage.id, log)
  }
  return logs
}

/** So many of the numbers 0 .. count - 1, evenly spaced, with the first and the last. */
const spread = (count: number, wanted: number): readonly number[] => {
  const parts = Math.max(1, Math.min(count, wanted) - 1)
  return [...new Set(Array.from({ length: parts + 1 }, (_, i) => Math.round((i * (count - 1)) / parts)))]
}

/** First step, quartiles and last; the validation loss is the newest at that step. */
export const lossTable = ({ rows }: Log): Table => {
  const validated = rows.some((row) => row.validationLoss !== null)
  const newest = (index: number): number | undefined =>
    rows.slice(0, index + 1).findLast((row) => row.validationLoss !== null)?.validationLoss ?? undefined
  return {
    header: ["step", "loss", ...(validated ? ["validation"] : []), "grad norm", "learning rate", "tokens"],
    numeric: [0, 1, 2, 3, 4, 5],
    rows: spread(rows.length, 5).map((index) => {
      const row = rows[index] as LogRow
      const validation = newest(index)
      return [
        String(row.step),
        fixed(row.loss),
        ...(validated ? [validation === undefined ? "-" : fixed(validation)] : []),
        fixed(row.gradNorm),
        number(row.learningRate),
        String(row.tokens)
      ]
    })
  }
}

/** Losses at the same steps. */
export interface LossComparison {
  readonly steps: readonly number[]
  /** One list a run; null where the loss was not finite. */
  readonly losses: readonly (readonly (number | null)[])[]
}

/** By stage, for those that every run has a log of; up to ten steps as far as the shortest goes. */
export const compareLosses = (runs: readonly Logs[]): ReadonlyMap<string, LossComparison> => {
  const [first, ...others] = runs
  const shared = [...(first?.keys() ?? [])].filter((stage) => others.every((logs) => logs.has(stage)))
  return new Map(
    shared.map((stage) => {
      const logs = runs.map((of) => (of.get(stage) as Log).rows)
      const indices = spread(Math.min(...logs.map((rows) => rows.length)), 10)
      return [stage, { steps: indices.map((i) => i + 1), losses: logs.map((rows) => indices.map((i) => rows[i]?.loss ?? null)) }]
    })
  )
}

export const comparedLosses = (runs: readonly string[], { steps, losses }: LossComparison): Table => ({
  header: ["step", ...runs],
  numeric: [0, ...runs.map((_, index) => index + 1)],
  named: runs.map((_, index) => index + 1),
  rows: steps.map((step, i) => [String(step), ...losses.map((of) => fixed(of[i]))])
})

/** Those of the run's own journal; a reused stage's stand in its log only. */
export const alertLines = (theme: Theme, stage: StageView, log: Log | undefined): readonly string[] => {
  const alerts = stage.alerts.length > 0 ? stage.alerts : (log?.alerts ?? [])
  return alerts.map(({ detail }) => `${theme.paint("yellow", theme.glyph.alert)} ${stage.id}: ${detail}`)
}
