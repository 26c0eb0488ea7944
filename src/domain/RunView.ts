// What a run looks like now: a pure reducer over its events. Every reporter, every screen and every --json reads this and nothing else,
// live or from a finished journal.
import type { OutputRecord } from "./Artifact.ts"
import type { Decision, ErrorRecord, ManifestField, Reason, RunEvent, RunOutcome, StageOutcome } from "./RunEvent.ts"

export type Values = Readonly<Record<string, number | null>>

/** "waiting" = not begun; "locked" = another process computes the same key. */
export type StageState = "waiting" | "locked" | "running" | StageOutcome

export interface Progress {
  readonly done: number
  readonly total: number
  readonly unit: string
  /** The first progress of this attempt: what an estimate of the rest starts from (a resumed stage begins above 0). */
  readonly first: { readonly done: number; readonly time: string }
}

export interface AlertView {
  readonly kind: string
  readonly step: number | null
  readonly detail: string
}

export interface StageView {
  readonly id: string
  readonly kind: string
  readonly needs: readonly string[]
  readonly state: StageState
  /** What the plan said before the run; null for a stage that no plan named. */
  readonly decision: Decision | null
  readonly reason: Reason | null
  /** "sha256:<hex>"; null while not known. */
  readonly key: string | null
  readonly manifest: readonly ManifestField[]
  /** Fields of its config that were left to the plan, with the values that it chose; null where only a download could tell. */
  readonly auto: Readonly<Record<string, string | number | null>>
  readonly startedAt: string | null
  readonly endedAt: string | null
  readonly progress: Progress | null
  /** Optimizer step of the newest live figures. */
  readonly step: number | null
  /** Newest live value by name (null stands for NaN or infinity) and the step that it belongs to. */
  readonly live: Readonly<Record<string, { readonly value: number | null; readonly step: number }>>
  /** Last finite values by name, oldest first, at most `historyLength`. */
  readonly history: Readonly<Record<string, readonly number[]>>
  /** Resident bytes of the stage's own process, where it has one, and of those that it shares its work with. */
  readonly rss: number | null
  readonly peakRss: number | null
  readonly resumedFrom: number | null
  readonly checkpoint: { readonly name: string; readonly step: number | null } | null
  /** Last lines of its log, oldest first, at most `logLength`. */
  readonly log: readonly string[]
  /** Oldest first, at most `logLength`. */
  readonly alerts: readonly AlertView[]
  readonly outputs: readonly OutputRecord[]
  /** Final figures. */
  readonly metrics: Values
  readonly summary: string | null
  readonly producedBy: string | null
  readonly computeMs: number
  readonly writeMs: number
  readonly error: ErrorRecord | null
}

export interface RunView {
  readonly run: string
  readonly pipeline: string
  readonly objective: string | null
  readonly git: string | null
  readonly pid: number | null
  readonly pidStart: string | null
  readonly config: Readonly<Record<string, unknown>>
  readonly overrides: Readonly<Record<string, unknown>>
  readonly sources: Readonly<Record<string, unknown>>
  readonly state: "running" | RunOutcome
  readonly startedAt: string | null
  readonly endedAt: string | null
  /** Time of the newest event. */
  readonly lastEventAt: string | null
  /** In plan order. */
  readonly stages: readonly StageView[]
  readonly registered: readonly { readonly name: string; readonly version: number; readonly digest: string }[]
  readonly aliases: readonly { readonly name: string; readonly alias: string; readonly version: number }[]
  readonly savedMs: number
}

/** The window of the z-scores and the sparklines, in reported steps. */
export const historyLength = 128
export const logLength = 30

export const emptyRunView: RunView = {
  run: "",
  pipeline: "",
  objective: null,
  git: null,
  pid: null,
  pidStart: null,
  config: {},
  overrides: {},
  sources: {},
  state: "running",
  startedAt: null,
  endedAt: null,
  lastEventAt: null,
  stages: [],
  registered: [],
  aliases: [],
  savedMs: 0
}

const emptyStage = (id: string): StageView => ({
  id,
  kind: "",
  needs: [],
  state: "waiting",
  decision: null,
  reason: null,
  key: null,
  manifest: [],
  auto: {},
  startedAt: null,
  endedAt: null,
  progress: null,
  step: null,
  live: {},
  history: {},
  rss: null,
  peakRss: null,
  resumedFrom: null,
  checkpoint: null,
  log: [],
  alerts: [],
  outputs: [],
  metrics: {},
  summary: null,
  producedBy: null,
  computeMs: 0,
  writeMs: 0,
  error: null
})

const appended = <T>(list: readonly T[], item: T, limit: number): readonly T[] => [...list, item].slice(-limit)

const withValues = (history: StageView["history"], values: Values): StageView["history"] => {
  const finite = Object.entries(values).filter((entry): entry is [string, number] => entry[1] !== null)
  return { ...history, ...Object.fromEntries(finite.map(([name, value]) => [name, appended(history[name] ?? [], value, historyLength)])) }
}

const mapValues = <A, B>(record: Readonly<Record<string, A>>, f: (a: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, f(value)]))

/** The next state of a stage, for the events that concern one. */
const reduceStage = (stage: StageView, event: Extract<RunEvent, { readonly stage: string }>): StageView => {
  switch (event._tag) {
    case "StageStarted":
      return {
        ...emptyStage(stage.id),
        needs: stage.needs,
        decision: stage.decision,
        auto: stage.auto,
        kind: event.kind,
        state: "running",
        key: event.key,
        manifest: event.manifest,
        reason: event.reason,
        startedAt: event.time
      }
    case "Progress":
      return {
        ...stage,
        progress: {
          done: event.done,
          total: event.total,
          unit: event.unit,
          first: stage.progress?.first ?? { done: event.done, time: event.time }
        }
      }
    case "Metrics":
      return {
        ...stage,
        step: event.step,
        live: { ...stage.live, ...mapValues(event.values, (value) => ({ value, step: event.step })) },
        history: withValues(stage.history, event.values)
      }
    case "Device":
      return { ...stage, rss: event.rss, peakRss: event.peakRss }
    case "Log":
      return { ...stage, log: appended(stage.log, event.text, logLength) }
    case "Saved":
      return event.what === "checkpoint" ? { ...stage, checkpoint: { name: event.name, step: stage.step } } : stage
    case "Alert":
      return { ...stage, alerts: appended(stage.alerts, { kind: event.kind, step: event.step, detail: event.detail }, logLength) }
    case "Resumed":
      return { ...stage, resumedFrom: event.step }
    case "Waiting":
      return { ...stage, state: "locked", key: event.key }
    case "StageEnded":
      return {
        ...stage,
        kind: event.kind,
        state: event.outcome,
        key: event.key ?? stage.key,
        endedAt: event.time,
        outputs: event.outputs,
        metrics: event.metrics,
        summary: event.summary ?? null,
        producedBy: event.producedBy ?? null,
        computeMs: event.computeMs,
        writeMs: event.writeMs,
        error: event.error
      }
    case "Registered":
      return stage
  }
}

/** The view after one more event. Events arrive in journal order; unknown ones were skipped by the reader. */
export const reduceRun = (view: RunView, event: RunEvent): RunView => {
  const next: RunView = { ...view, run: event.run, lastEventAt: event.time }
  if ("stage" in event) {
    const known = view.stages.some((stage) => stage.id === event.stage)
    const stages = known ? view.stages : [...view.stages, emptyStage(event.stage)]
    const registered =
      event._tag === "Registered"
        ? [...view.registered, { name: event.name, version: event.version, digest: event.digest }]
        : view.registered
    return { ...next, registered, stages: stages.map((stage) => (stage.id === event.stage ? reduceStage(stage, event) : stage)) }
  }
  switch (event._tag) {
    case "RunStarted":
      return {
        ...next,
        pipeline: event.pipeline,
        objective: event.objective ?? null,
        git: event.git,
        pid: event.pid,
        pidStart: event.pidStart,
        config: event.config,
        overrides: event.overrides,
        sources: event.sources,
        startedAt: event.time
      }
    case "Planned":
      return { ...next, stages: event.stages.map((planned) => ({ ...emptyStage(planned.id), ...planned })) }
    case "AliasMoved":
      return { ...next, aliases: [...view.aliases, { name: event.name, alias: event.alias, version: event.version }] }
    case "RunEnded":
      return { ...next, state: event.outcome, endedAt: event.time, savedMs: event.savedMs }
  }
}

export const runViewOf = (events: Iterable<RunEvent>): RunView => {
  let view = emptyRunView
  for (const event of events) view = reduceRun(view, event)
  return view
}
