// Carries out a plan: independent stages side by side under limits, each once, results published, events to the journal.
// After a failure running stages end, no new one starts, and dependents are named as skipped; keepGoing lets independent ones go on.
import { availableParallelism } from "node:os"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { type AnnealError, toAnnealError, UsageError } from "#src/domain/Errors.ts"
import { hintFor } from "#src/domain/nearest.ts"
import type { RunEvent, RunOutcome, StageOutcome } from "#src/domain/RunEvent.ts"
import { Catalog } from "#src/store/Catalog.ts"
import { createJournal, type Journal } from "#src/store/Journal.ts"
import { processId } from "#src/store/processes.ts"
import type { Entry } from "#src/store/records.ts"
import { namesIn, sweepWork } from "#src/store/Work.ts"
import { journalPath, Workspace, type WorkspacePaths } from "#src/store/Workspace.ts"
import { attemptStage, type RunScope } from "./attemptStage.ts"
import { type Control, makeControl } from "./control.ts"
import type { Prepared, PreparedStage } from "./prepare.ts"
import { runName } from "./runNames.ts"

export interface RunOptions {
  /** File of a stage's own process: dist/stage-child.js. */
  readonly childEntry: string
  /** Name of the run; default two words of its own. */
  readonly name?: string | undefined
  /** Stages at a time; default the number of cores. Stages with a process of their own run one at a time. */
  readonly jobs?: number | undefined
  /** Upper bound of ONNX Runtime's threads in a stage; 0 = one per core. */
  readonly threads?: number | undefined
  readonly keepGoing?: boolean | undefined
  /** Stages whose checkpoints are dropped. */
  readonly restart?: readonly string[] | undefined
  readonly git?: string | null | undefined
  readonly control?: Control | undefined
  /** Called with every event, after it stands in the journal. */
  readonly listener?: ((event: RunEvent) => void) | undefined
}

export interface StageEnd {
  readonly stage: string
  readonly outcome: StageOutcome
  /** The result, where there is one. */
  readonly entry?: Entry
  readonly error?: AnnealError
}

export interface RunSummary {
  readonly run: string
  readonly outcome: RunOutcome
  /** 0 done, 3 gate, 130 stopped, else that of the first error. */
  readonly exitCode: number
  readonly stages: readonly StageEnd[]
  /** The first error that failed the run. */
  readonly error?: AnnealError
}

export class Executor extends Context.Service<
  Executor,
  {
    /** A failed stage is a summary, not an error. Errors: UsageError for the options, EnvironmentError where no run can begin. */
    readonly run: (prepared: Prepared, options: RunOptions) => Effect.Effect<RunSummary, AnnealError>
  }
>()("anneal/engine/Executor") {
  static readonly layer: Layer.Layer<Executor, never, Workspace | Catalog> = Layer.effect(
    Executor,
    Effect.gen(function* () {
      const workspace = yield* Workspace
      const catalog = yield* Catalog
      return { run: (prepared, options) => Effect.scoped(runAll(workspace, catalog, prepared, options)) }
    })
  )
}

const runAll = Effect.fn("Executor.run")(function* (
  workspace: WorkspacePaths,
  catalog: Catalog["Service"],
  prepared: Prepared,
  options: RunOptions
) {
  const { run, journal } = yield* Effect.acquireRelease(
    Effect.try({ try: () => begin(workspace, prepared, options), catch: (u) => toAnnealError(u, workspace.artifacts) }),
    (open) => Effect.sync(open.journal.close)
  )
  const emit: RunScope["emit"] = (body) => options.listener?.(journal.append(body))
  emit({ _tag: "RunStarted", ...startOf(prepared, options) })
  emit({ _tag: "Planned", stages: prepared.plan })
  const scope: RunScope = {
    workspace,
    catalog,
    prepared,
    run,
    emit,
    control: options.control ?? makeControl(),
    childEntry: options.childEntry,
    threads: options.threads ?? 0,
    restart: new Set(options.restart)
  }
  const stages = yield* runStages(scope, options)
  const savedMs = stages.reduce((sum, end) => sum + (end.outcome === "reused" ? (end.entry?.computeMs ?? 0) : 0), 0)
  const ended = endOf(run, stages, scope.control, journal)
  emit({ _tag: "RunEnded", outcome: ended.outcome, savedMs })
  // A run whose books cannot be kept is not green, even where every stage is done.
  const books = yield* Effect.result(catalog.indexRuns())
  return ended.error === undefined && Result.isFailure(books) ? failedBy(ended, books.failure) : ended
})

const begin = (workspace: WorkspacePaths, prepared: Prepared, options: RunOptions): { readonly run: string; readonly journal: Journal } => {
  const ids = prepared.plan.map((stage) => stage.id)
  const unknown = options.restart?.find((id) => !ids.includes(id))
  if (unknown !== undefined)
    throw new UsageError({ message: `--restart ${unknown}: no such stage in this run`, hint: hintFor(unknown, ids) })
  if (options.name !== undefined && !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(options.name)) {
    throw new UsageError({ message: `"${options.name}" cannot be a run's name`, hint: "use letters, digits, dots, - and _" })
  }
  if (options.name === "latest")
    throw new UsageError({ message: '"latest" cannot be a run\'s name: it means the newest run', hint: "give another --name" })
  sweepWork(workspace)
  for (let n = namesIn(workspace.runs).length; ; n++) {
    const run = options.name ?? runName(n)
    try {
      return { run, journal: createJournal(journalPath(workspace, run), run) }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
      if (options.name !== undefined) throw new UsageError({ message: `there is a run called ${run} already`, hint: "give another --name" })
    }
  }
}

const startOf = ({ pipeline, sources, origins }: Prepared, options: RunOptions) => ({
  pipeline: pipeline.id,
  ...(pipeline.objective === undefined ? {} : { objective: pipeline.objective }),
  git: options.git ?? null,
  ...processId(process.pid),
  config: Object.fromEntries(pipeline.stages.map((stage) => [stage.id, stage.encoded])) as never,
  overrides: pipeline.overrides as never,
  sources: Object.fromEntries(Object.entries(origins).map(([id, origin]) => [id, { ...origin, digest: sources[id]?.digest ?? "" }]))
})

const runStages = Effect.fn("runStages")(function* (scope: RunScope, options: RunOptions) {
  const slots = yield* Semaphore.make(options.jobs ?? availableParallelism())
  // One at a time: such a stage takes the whole device.
  const device = yield* Semaphore.make(1)
  const ends = new Map<string, Deferred.Deferred<StageEnd>>()
  for (const { stage } of scope.prepared.stages) ends.set(stage.id, yield* Deferred.make<StageEnd>())
  let failed: string | undefined

  const one = Effect.fn("stage")(function* (prepared: PreparedStage) {
    const { id, kind, needs } = prepared.stage
    const before: StageEnd[] = []
    for (const need of needs) before.push(yield* Deferred.await(ends.get(need) as Deferred.Deferred<StageEnd>))
    const results = new Map(before.flatMap((end) => (end.entry === undefined ? [] : [[end.stage, end.entry] as const])))
    const skip = (): string | undefined => {
      const lacking = before.find((end) => end.entry === undefined)
      if (lacking !== undefined)
        return `needs ${lacking.stage}, which ${lacking.outcome === "failed" ? "failed" : `was ${lacking.outcome}`}`
      if (scope.control.level() !== "go") return "not started: the run was stopped"
      return failed === undefined || options.keepGoing === true ? undefined : `not started: ${failed} failed`
    }
    const run = Effect.suspend(() => {
      const why = skip()
      return why === undefined ? endOfAttempt(scope, prepared, results) : Effect.succeed(skipped(scope, prepared, why))
    })
    const end =
      prepared.reuse === undefined
        ? yield* kind.isolate === true ? device.withPermit(slots.withPermit(run)) : slots.withPermit(run)
        : reused(scope, prepared, prepared.reuse)
    if (end.outcome === "failed") failed ??= id
    return end
  })

  return yield* Effect.forEach(
    scope.prepared.stages,
    (prepared) =>
      (prepared.selected ? one(prepared) : Effect.succeed(unselected(prepared))).pipe(
        Effect.tap((end) => Deferred.succeed(ends.get(end.stage) as Deferred.Deferred<StageEnd>, end))
      ),
    { concurrency: "unbounded" }
  ).pipe(Effect.map((all) => all.filter((_, i) => scope.prepared.stages[i]?.selected === true)))
})

const unselected = ({ stage, reuse }: PreparedStage): StageEnd =>
  reuse === undefined ? { stage: stage.id, outcome: "skipped" } : { stage: stage.id, outcome: "reused", entry: reuse }

const empty = { outputs: [], metrics: {}, computeMs: 0, writeMs: 0, error: null }

const skipped = ({ emit }: RunScope, { stage }: PreparedStage, summary: string): StageEnd => {
  emit({ _tag: "StageEnded", stage: stage.id, kind: stage.kind.kind, outcome: "skipped", key: null, ...empty, summary })
  return { stage: stage.id, outcome: "skipped" }
}

const reused = (scope: RunScope, { stage }: PreparedStage, entry: Entry): StageEnd => ended(scope, stage.id, "reused", entry)

const ended = ({ emit }: RunScope, id: string, outcome: "done" | "reused", entry: Entry): StageEnd => {
  const { key, kind, outputs, metrics, computeMs, writeMs } = entry
  const summary = entry.summary === undefined ? {} : { summary: entry.summary }
  const times = outcome === "done" ? { computeMs, writeMs } : { computeMs: 0, writeMs: 0, producedBy: entry.run }
  emit({ _tag: "StageEnded", stage: id, kind, outcome, key, outputs, metrics, ...summary, ...times, error: null })
  return { stage: id, outcome, entry }
}

const endOfAttempt = Effect.fn("endOfAttempt")(function* (
  scope: RunScope,
  prepared: PreparedStage,
  results: ReadonlyMap<string, Entry>
): Effect.fn.Return<StageEnd> {
  const started = performance.now()
  const { id, kind } = prepared.stage
  const attempt = yield* Effect.result(Effect.scoped(attemptStage(scope, prepared, results)))
  if (Result.isSuccess(attempt)) return ended(scope, id, attempt.success.outcome, attempt.success.entry)
  const error = attempt.failure
  const outcome = error._tag === "InterruptedError" && scope.control.level() !== "go" ? "stopped" : "failed"
  scope.emit({
    _tag: "StageEnded",
    stage: id,
    kind: kind.kind,
    outcome,
    key: prepared.planned.key,
    ...empty,
    computeMs: performance.now() - started,
    error: outcome === "stopped" ? null : errorRecord(error)
  })
  return { stage: id, outcome, error }
})

const errorRecord = ({ _tag: tag, message, where, why, hint }: AnnealError) => ({
  tag,
  message,
  ...(where === undefined ? {} : { where }),
  ...(why === undefined ? {} : { why }),
  ...(hint === undefined ? {} : { hint })
})

const endOf = (run: string, stages: readonly StageEnd[], control: Control, journal: Journal): RunSummary => {
  const failures = stages.filter((end) => end.outcome === "failed").flatMap((end) => end.error ?? [])
  const error = failures.find((failure) => failure._tag !== "GateError") ?? failures[0]
  if (error !== undefined) {
    return { run, outcome: error._tag === "GateError" ? "gate" : "failed", exitCode: error.exitCode, stages, error }
  }
  if (control.level() !== "go" && stages.some((end) => end.outcome === "stopped" || end.outcome === "skipped")) {
    return { run, outcome: "stopped", exitCode: 130, stages }
  }
  const done: RunSummary = { run, outcome: "done", exitCode: 0, stages }
  return journal.error() === undefined ? done : failedBy(done, toAnnealError(journal.error(), `journal of run ${run}`))
}

const failedBy = (summary: RunSummary, error: AnnealError): RunSummary => ({
  ...summary,
  outcome: "failed",
  exitCode: error.exitCode,
  error
})
