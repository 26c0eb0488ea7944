// Events as lines of plain text: what a log of the run says. The same journal always gives the same lines, live or read later.
import type { PlannedStage, RunEvent } from "#src/domain/RunEvent.ts"
import type { RunView, StageView } from "#src/domain/RunView.ts"
import { totalEstimate } from "#src/domain/estimate.ts"
import { autoText } from "./auto.ts"
import { errorBlock } from "./errorBlock.ts"
import { bytes, duration, number, plural, short } from "./format.ts"
import { stateColour, type Theme } from "./Theme.ts"
import { position, trainingLine } from "./training.ts"

export interface LineOptions {
  /** Every figure as it comes, not one line per 10 s or 1 %. */
  readonly everyStep?: boolean
}

type Row = (state: StageView["state"] | "alert" | " ", subject: string, line: string) => string

/** A formatter with memory: which figures were printed last, and which are still to be printed. */
export const runLines = (theme: Theme, options: LineOptions = {}): ((event: RunEvent, view: RunView) => readonly string[]) => {
  const printed = new Map<string, { readonly time: number; readonly share: number }>()
  const pending = new Map<string, string>()
  /** Steps up to which a resumed stage tells its curve again: those figures were lines of the run before. */
  const told = new Map<string, number>()
  // As wide as the longest stage id of the plan, so that the texts stand below each other.
  let width = 10
  const row: Row = (state, subject, line) =>
    `${state === " " ? " " : theme.paint(stateColour[state], theme.glyph[state])} ${subject.padEnd(width)} ${line}`
  const text = (subject: string, line: string): string => row(" ", subject, line)

  const figuresDue = (stage: StageView, now: string): boolean => {
    const { progress } = stage
    const share = progress === null ? 0 : progress.done / progress.total
    // Figures are printed when the first of them come; mere progress waits for its 10 s.
    const first = Object.keys(stage.live).length > 0 || progress === null ? undefined : { time: Date.parse(progress.first.time), share: 0 }
    const last = printed.get(stage.id) ?? first
    const spaced = last === undefined || (Date.parse(now) - last.time >= 10_000 && (progress === null || share - last.share >= 0.01))
    if (options.everyStep !== true && !spaced) return false
    printed.set(stage.id, { time: Date.parse(now), share })
    return true
  }
  /** Prints the stage's figures now or keeps them: the last ones are always printed, at the latest before the stage ends. */
  const figures = (stage: StageView, now: string): readonly string[] => {
    const line = text(stage.id, trainingLine(theme, stage, now))
    if (!figuresDue(stage, now)) {
      pending.set(stage.id, line)
      return []
    }
    pending.delete(stage.id)
    return [line]
  }
  const flushed = (stage: string): readonly string[] => {
    const line = pending.get(stage)
    pending.delete(stage)
    return line === undefined ? [] : [line]
  }

  return (event, view) => {
    const stage = "stage" in event ? view.stages.find((candidate) => candidate.id === event.stage) : undefined
    if (event._tag === "Planned") width = Math.max(10, ...event.stages.map(({ id }) => id.length))
    if (stage === undefined) return runLevel(theme, row, event, view)
    switch (event._tag) {
      case "StageStarted":
        printed.delete(stage.id)
        return [
          row("running", stage.id, stage.reason === null ? "started" : `started  why: ${stage.reason.text}`),
          ...(Object.keys(stage.auto).length === 0 ? [] : [text(stage.id, autoText(stage.auto))])
        ]
      case "Metrics":
        return event.step <= (told.get(stage.id) ?? -1) ? [] : figures(stage, event.time)
      case "Progress":
        // A stage that trains reports both: its figures carry the position.
        return Object.keys(stage.live).length > 0 || event.done === 0 ? [] : figures(stage, event.time)
      case "Log":
        return event.text
          .split("\n")
          .map((line) => (event.level === "info" ? text(stage.id, line) : row("alert", stage.id, `${event.level}: ${line}`)))
      case "Saved":
        return event.what === "checkpoint" ? [text(stage.id, `saved ${event.name} (${bytes(event.bytes)})`)] : []
      case "Alert":
        return [row("alert", stage.id, event.detail)]
      case "Resumed":
        told.set(stage.id, event.step)
        return [text(stage.id, `goes on at step ${event.step} from checkpoint ${event.checkpoint}`)]
      case "Waiting":
        return [row("locked", stage.id, `waits: ${event.owner} computes the same result (${short(event.key)})`)]
      case "Registered":
        return [text(stage.id, `registered ${event.name}@${event.version}`)]
      case "StageEnded":
        return [...flushed(stage.id), row(event.outcome, stage.id, endText(theme, stage))]
      default:
        return []
    }
  }
}

const runLevel = (theme: Theme, row: Row, event: RunEvent, view: RunView): readonly string[] => {
  switch (event._tag) {
    case "Planned":
      return [`${view.pipeline} ${theme.arrow} ${view.run}   ${planSummary(theme, event.stages)}`]
    case "AliasMoved":
      return [`  ${event.alias} ${theme.arrow} ${event.name}@${event.version}`]
    case "RunEnded":
      return [
        ...view.stages.flatMap((stage) => failure(theme, view, stage)),
        ...(event.outcome === "done" ? [row("done", view.run, endOfRun(view))] : [])
      ]
    default:
      return []
  }
}

/** "8 stages: 5 reuse · 2 run · 1 maybe   ~1m02s (from 3 past runs)". */
export const planSummary = (theme: Theme, stages: readonly PlannedStage[]): string => {
  const counts = (["reuse", "run", "maybe"] as const)
    .map((decision) => [decision, stages.filter((stage) => stage.decision === decision).length] as const)
    .filter(([, count]) => count > 0)
    .map(([decision, count]) => `${count} ${decision}`)
  const time = timeText(stages)
  return `${plural(stages.length, "stage")}: ${counts.join(` ${theme.dot} `)}${time === undefined ? "" : `   ${time}`}`
}

const timeText = (stages: readonly PlannedStage[]): string | undefined => {
  const total = totalEstimate(stages)
  if (total === undefined) return undefined
  const without = total.without.length === 0 ? "" : `, without ${total.without.join(", ")}`
  return `~${duration(total.seconds * 1000)} (from ${plural(total.runs, "past run")}${without})`
}

const endText = (theme: Theme, stage: StageView): string => {
  const outputs = stage.outputs.map((output) => `${output.name} ${short(output.digest)}`).join(", ")
  switch (stage.state) {
    case "reused":
      return `reused ${outputs}${stage.producedBy === null ? "" : ` (produced by ${stage.producedBy})`}`
    case "done": {
      const metrics = Object.entries(stage.metrics)
        .slice(0, 4)
        .map(([name, value]) => `${name} ${number(value)}`)
      const said = stage.summary ?? metrics.join("  ")
      const made = outputs === "" ? "" : `${theme.arrow} ${outputs}`
      return [duration(stage.computeMs + stage.writeMs), said, made].filter((part) => part !== "").join("  ")
    }
    case "failed":
      return `failed after ${duration(stage.computeMs)}, see below`
    case "stopped":
      return stage.progress === null ? "stopped" : `stopped at ${position(stage)}`
    default:
      return stage.summary === null ? stage.state : `${stage.state}: ${stage.summary}`
  }
}

const failure = (theme: Theme, view: RunView, stage: StageView): readonly string[] =>
  stage.error === null || stage.state !== "failed"
    ? []
    : [...errorBlock(theme, stage.id, stage.error), `  full log: anneal logs ${view.run} ${stage.id}`]

const endOfRun = (view: RunView): string => {
  const count = (state: StageView["state"]): number => view.stages.filter((stage) => stage.state === state).length
  const took = view.startedAt === null || view.endedAt === null ? 0 : Date.parse(view.endedAt) - Date.parse(view.startedAt)
  const parts = [`${count("done")} run`, `${count("reused")} reused`]
  const saved = view.savedMs >= 1000 ? `, saved ${duration(view.savedMs)}` : ""
  return `${parts.filter((part) => !part.startsWith("0 ")).join(", ")} in ${duration(took)}${saved}`
}
