// A run's journal as catalog records (pure). The catalog is filled with these at the end of a run and when it is rebuilt.
import type { Reason, RunEvent } from "#src/domain/RunEvent.ts"
import type { AliasRow, Entry, ModelRow, RunRow, StageRow } from "./records.ts"

type Of<T extends RunEvent["_tag"]> = Extract<RunEvent, { readonly _tag: T }>

const ofTag = <T extends RunEvent["_tag"]>(events: readonly RunEvent[], tag: T): readonly Of<T>[] =>
  events.filter((event): event is Of<T> => event._tag === tag)

/** The run's row; undefined where the journal has no beginning. `alive`: whether the process that wrote it still runs. */
export const runRow = (events: readonly RunEvent[], alive: (started: Of<"RunStarted">) => boolean): RunRow | undefined => {
  const [started] = ofTag(events, "RunStarted")
  if (started === undefined) return undefined
  const [ended] = ofTag(events, "RunEnded")
  return {
    run: started.run,
    pipeline: started.pipeline,
    started: started.time,
    ended: ended?.time ?? null,
    outcome: ended?.outcome ?? (alive(started) ? "running" : "crashed"),
    git: started.git,
    overrides: started.overrides,
    config: started.config,
    sources: started.sources,
    savedMs: ended?.savedMs ?? 0,
    stages: stageRows(events)
  }
}

const reasonsOf = (events: readonly RunEvent[]): ReadonlyMap<string, Reason | null> =>
  new Map([
    ...ofTag(events, "Planned").flatMap((event) => event.stages.map((stage) => [stage.id, stage.reason] as const)),
    ...ofTag(events, "StageStarted").map((event) => [event.stage, event.reason] as const)
  ])

const stageRows = (events: readonly RunEvent[]): readonly StageRow[] => {
  const reasons = reasonsOf(events)
  const order = new Map(ofTag(events, "Planned").flatMap((event) => event.stages.map((stage, i) => [stage.id, i] as const)))
  return ofTag(events, "StageEnded")
    .map((event) => ({
      stage: event.stage,
      kind: event.kind,
      outcome: event.outcome,
      key: event.key,
      outputs: event.outputs,
      metrics: event.metrics,
      ...(event.summary === undefined ? {} : { summary: event.summary }),
      ...(event.producedBy === undefined ? {} : { producedBy: event.producedBy }),
      reason: event.outcome === "reused" ? null : (reasons.get(event.stage) ?? null),
      error: event.error,
      computeMs: event.computeMs,
      writeMs: event.writeMs
    }))
    .sort((a, b) => (order.get(a.stage) ?? 0) - (order.get(b.stage) ?? 0))
}

/** The results that the run made: its stages that ended "done", with the manifests that they started with. */
export const entriesOf = (events: readonly RunEvent[]): readonly Entry[] => {
  const started = new Map(ofTag(events, "StageStarted").map((event) => [event.stage, event]))
  const pipeline = ofTag(events, "RunStarted")[0]?.pipeline ?? ""
  return ofTag(events, "StageEnded").flatMap((event) => {
    const start = started.get(event.stage)
    if (event.outcome !== "done" || event.key === null || start === undefined) return []
    const { key, kind, stage, run, time, outputs, metrics, computeMs, writeMs } = event
    const summary = event.summary === undefined ? {} : { summary: event.summary }
    return [{ key, kind, pipeline, stage, run, time, manifest: start.manifest, outputs, metrics, ...summary, computeMs, writeMs }]
  })
}

export const modelsOf = (events: readonly RunEvent[]): readonly ModelRow[] =>
  ofTag(events, "Registered").map(({ name, version, digest, key, run, time }) => ({ name, version, digest, key, run, time }))

export const aliasesOf = (events: readonly RunEvent[]): readonly AliasRow[] =>
  ofTag(events, "AliasMoved").map(({ name, alias, version, time }) => ({ name, alias, version, time }))
