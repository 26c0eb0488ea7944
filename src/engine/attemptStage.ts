// One attempt at one stage: take the key's lease, look again, run in a private folder, publish, let go.
import { setTimeout as sleep } from "node:timers/promises"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type AnnealError, EnvironmentError, InterruptedError, toAnnealError } from "#src/domain/Errors.ts"
import type { SourceDef, StageResult } from "#src/domain/Pipeline.ts"
import type { Reason, RunEventBody, StageEvent } from "#src/domain/RunEvent.ts"
import type { InputArtifact, StageTask } from "#src/domain/StageContext.ts"
import type { CatalogService } from "#src/store/Catalog.ts"
import { makeFolder } from "#src/store/makeFolder.ts"
import { type Lease, ownerText, tryAcquire } from "#src/store/Lease.ts"
import { openLog, type StageLog } from "#src/store/Log.ts"
import { objectPath } from "#src/store/Objects.ts"
import { publishOutputs } from "#src/store/publish.ts"
import type { Entry, Figures } from "#src/store/records.ts"
import { checkpointFolder, hexOf, makeWork, remove, removeEmpty, workFolder } from "#src/store/Work.ts"
import { logPath, type WorkspacePaths } from "#src/store/Workspace.ts"
import type { Control } from "./control.ts"
import { keyOf, manifestOf } from "./Fingerprint.ts"
import { lookUp } from "./lookUp.ts"
import { decide } from "./Planner.ts"
import { inputDigests, type Prepared, type PreparedStage } from "./prepare.ts"
import { runHere } from "./runHere.ts"
import { runInChild } from "./runInChild.ts"

/** What every part of one run shares. */
export interface RunScope {
  readonly workspace: WorkspacePaths
  readonly catalog: CatalogService
  readonly prepared: Prepared
  readonly run: string
  readonly control: Control
  readonly childEntry: string
  readonly threads: number
  /** Stages whose checkpoints are dropped. */
  readonly restart: ReadonlySet<string>
  readonly emit: (body: RunEventBody) => void
}

export interface AttemptResult {
  readonly outcome: "done" | "reused"
  readonly entry: Entry
}

const io = <A>(stage: string, work: () => A | Promise<A>): Effect.Effect<A, AnnealError> =>
  Effect.tryPromise({ try: async () => work(), catch: (u) => toAnnealError(u, `stage ${stage}`) })

/**
 * @param results what the stages that it needs gave
 * Errors: whatever the stage fails with; InterruptedError where the run is stopped first
 */
export const attemptStage = Effect.fn("attemptStage")(function* (
  scope: RunScope,
  prepared: PreparedStage,
  results: ReadonlyMap<string, Entry>
): Effect.fn.Return<AttemptResult, AnnealError, Scope.Scope> {
  const { workspace, catalog } = scope
  const { id, kind } = prepared.stage
  const manifest = manifestOf({ ...prepared.parts, inputs: inputDigests(prepared.stage, scope.prepared.sources, results) })
  const key = keyOf(manifest)
  const lease = yield* Effect.acquireRelease(takeLease(scope, id, key), (held) => Effect.sync(held.release))
  // Looked up again: another process may have made the result while this one waited, or an upstream result turned out as it was.
  const { found, last } = yield* catalog.read(async (snapshot) => ({
    found: await lookUp(workspace, snapshot, key, true),
    last: await snapshot.last(scope.prepared.pipeline.id, id)
  }))
  const { decision, reason } = decide({ stage: id, forced: prepared.forced, pending: [], manifest, found, knowsOwn: true, last })
  if (decision === "reuse" && found !== undefined) return { outcome: "reused", entry: found.entry }
  scope.emit({ _tag: "StageStarted", stage: id, kind: kind.kind, attempt: lease.attempt, key, manifest, reason: reason as Reason })

  const task = yield* io(id, () => taskOf(scope, prepared, results, key, lease))
  yield* Effect.addFinalizer(() => Effect.sync(() => (remove(task.workDir), removeEmpty(task.checkpointDir))))
  const log = yield* Effect.acquireRelease(
    io(id, () => openLog(logPath(workspace, scope.run, id))),
    (file) => Effect.sync(file.close)
  )
  const started = performance.now()
  const result = yield* execute(scope, prepared, task, log, lease)
  const computed = performance.now()

  yield* io(id, lease.verify)
  const outputs = yield* io(id, () => publishOutputs(workspace, id, task.workDir, prepared.stage.outputs, result.rows))
  const entry: Entry = {
    key,
    kind: kind.kind,
    pipeline: scope.prepared.pipeline.id,
    stage: id,
    run: scope.run,
    time: new Date().toISOString(),
    manifest,
    outputs,
    metrics: finiteOrNull(result.metrics ?? {}),
    ...(result.summary === undefined ? {} : { summary: result.summary }),
    computeMs: computed - started,
    writeMs: performance.now() - computed
  }
  yield* io(id, lease.verify)
  yield* enter(scope, entry, result)
  remove(task.checkpointDir)
  return { outcome: "done", entry }
})

/** Waits while another process computes the same key. */
const takeLease = (scope: RunScope, stage: string, key: string): Effect.Effect<Lease, AnnealError> =>
  io(stage, async () => {
    for (let told = false; ; told = true) {
      const lease = tryAcquire(scope.workspace, hexOf(key), scope.run)
      if (!("heldBy" in lease)) return lease
      if (!told) scope.emit({ _tag: "Waiting", stage, key, owner: ownerText(lease.heldBy) })
      if (scope.control.level() !== "go") throw new InterruptedError({ message: "stopped while waiting for another run", where: stage })
      await sleep(100 + Math.random() * 100)
    }
  })

const taskOf = (
  { workspace, prepared, run, threads, restart }: RunScope,
  { stage }: PreparedStage,
  results: ReadonlyMap<string, Entry>,
  key: string,
  lease: Lease
): StageTask => {
  const workDir = workFolder(workspace, key, lease.attempt)
  const checkpointDir = checkpointFolder(workspace, key)
  makeWork(workDir)
  if (restart.has(stage.id)) remove(checkpointDir)
  makeFolder(checkpointDir)
  const inputs = Object.entries(stage.inputs).map(([name, ref]): readonly [string, InputArtifact] => {
    const source = prepared.pipeline.sources.find((node) => node.id === ref.stage)
    if (source !== undefined) {
      return [name, { kind: source.kind, ...baseOf(prepared, source) }]
    }
    const digest = results.get(ref.stage)?.outputs.find((output) => output.name === ref.output)?.digest ?? ""
    return [name, { kind: ref.kind, digest, path: objectPath(workspace, digest) }]
  })
  const files = Object.entries(stage.files).map(([path, named]) => [
    path,
    typeof named === "string" ? workspace.resolve(named) : named.map((file) => workspace.resolve(file))
  ])
  return {
    pipeline: prepared.pipeline.id,
    run,
    stage: stage.id,
    key,
    config: stage.config,
    inputs: Object.fromEntries(inputs),
    files: Object.fromEntries(files) as StageTask["files"],
    workDir,
    checkpointDir,
    leasePath: lease.path,
    attempt: lease.attempt,
    threads
  }
}

const baseOf = ({ sources }: Prepared, { id, path }: SourceDef): Omit<InputArtifact, "kind"> => {
  const found = sources[id]
  if (found !== undefined) return { digest: found.digest, path: found.path, ...(found.hub === undefined ? {} : { hub: found.hub }) }
  throw new EnvironmentError({
    message: `${path} is not downloaded`,
    where: `source ${id}`,
    hint: "run the same command: a run downloads it first"
  })
}

const execute = (
  { workspace, control, childEntry, emit }: RunScope,
  { stage }: PreparedStage,
  task: StageTask,
  log: StageLog,
  lease: Lease
): Effect.Effect<StageResult, AnnealError> => {
  const onEvent = (event: StageEvent): void => {
    if (event._tag === "Log") log.write(event.text)
    emit({ ...event, stage: stage.id })
  }
  const { kind } = stage
  if (kind.isolate !== true) return runHere({ workspace, kind, task, log, control, onEvent })
  const environment = kind.environment?.(task.config as never) ?? {}
  return runInChild({ entry: childEntry, kind: kind.kind, environment, task, log, control, onEvent, onStart: lease.withChild })
}

/** One catalog transaction, then the events that tell of it. */
const enter = Effect.fn("enter")(function* (
  { catalog, emit }: RunScope,
  entry: Entry,
  { registration }: StageResult
): Effect.fn.Return<void, AnnealError> {
  const { key, run, time, stage, outputs } = entry
  const digest = outputs.find((output) => output.name === registration?.output)?.digest ?? ""
  const model = registration === undefined ? [] : [{ name: registration.name, version: registration.version, digest, key, run, time }]
  const aliases = model.flatMap(({ name, version }) => registration?.aliases.map((alias) => ({ name, alias, version, time })) ?? [])
  yield* catalog.publish({ entry, models: model, aliases })
  for (const { kind: _, ...saved } of outputs) emit({ _tag: "Saved", stage, what: "artifact", ...saved })
  for (const { name, version } of model) emit({ _tag: "Registered", stage, name, version, digest, key })
  for (const { name, alias, version } of aliases) emit({ _tag: "AliasMoved", name, alias, version })
})

const finiteOrNull = (figures: Figures): Figures =>
  Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number.isFinite(value) ? value : null]))
