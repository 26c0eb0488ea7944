// Everything that can happen in a run, as one union: the journal's lines, the reporters' input, `run --ui json`.
// Unknown future events must be skipped by readers, never fail them.
import * as Schema from "effect/Schema"
import { OutputRecord } from "./Artifact.ts"

const head = {
  v: Schema.Literal(1),
  /** 0, 1, 2 … without gaps within one journal. */
  seq: Schema.Int,
  /** ISO-8601 UTC. */
  time: Schema.String,
  /** The run's name, unique in the workspace: its journal is artifacts/runs/<run>/events.jsonl. */
  run: Schema.String
}

export const Decision = Schema.Literals(["reuse", "run", "maybe"])
export type Decision = typeof Decision.Type

/** Why a stage runs (or may run): a code, the manifest field that differs with its old and new value, and the run compared with. */
export const Reason = Schema.Struct({
  code: Schema.Literals(["never-ran", "config", "input", "code", "missing", "corrupt", "forced", "upstream"]),
  field: Schema.optionalKey(Schema.String),
  from: Schema.optionalKey(Schema.Json),
  to: Schema.optionalKey(Schema.Json),
  run: Schema.optionalKey(Schema.String),
  /** One sentence for people, e.g. "train.learningRate 0.0002 -> 0.0001". */
  text: Schema.String
})
export type Reason = typeof Reason.Type

/** One field of a key's manifest. `type` is the canonical type tag, so that 1, "1", true and null stay distinct. */
export const ManifestField = Schema.Struct({
  path: Schema.String,
  type: Schema.Literals(["string", "int", "float", "bool", "null", "digest", "empty-list", "empty-object"]),
  value: Schema.Json
})
export type ManifestField = typeof ManifestField.Type

/** By what the stage took before in this pipeline: the median of so many runs. */
export const Estimate = Schema.Struct({ seconds: Schema.Finite, runs: Schema.Int })
export type Estimate = typeof Estimate.Type

export const PlannedStage = Schema.Struct({
  id: Schema.String,
  kind: Schema.String,
  needs: Schema.Array(Schema.String),
  decision: Decision,
  reason: Schema.NullOr(Reason),
  /** "sha256:<hex>", null while an upstream result is pending. */
  key: Schema.NullOr(Schema.String),
  /** Fields of its config that were left to the plan, with the values that it chose; null where only a download will tell. */
  auto: Schema.optionalKey(Schema.Record(Schema.String, Schema.NullOr(Schema.Union([Schema.String, Schema.Finite])))),
  /** Of a stage that runs or may run; absent where it never made a result. */
  estimate: Schema.optionalKey(Estimate)
})
export type PlannedStage = typeof PlannedStage.Type

/** Fields of every error in events: the tag, one line, and where/why/hint as Errors.ts defines them. */
export const ErrorRecord = Schema.Struct({
  tag: Schema.String,
  message: Schema.String,
  where: Schema.optionalKey(Schema.String),
  why: Schema.optionalKey(Schema.String),
  hint: Schema.optionalKey(Schema.String)
})
export type ErrorRecord = typeof ErrorRecord.Type

export const StageOutcome = Schema.Literals(["done", "reused", "failed", "skipped", "stopped"])
export type StageOutcome = typeof StageOutcome.Type
export const RunOutcome = Schema.Literals(["done", "failed", "gate", "stopped"])
export type RunOutcome = typeof RunOutcome.Type

const stage = { ...head, stage: Schema.String }

/** `config` is every stage's decoded config by stage id; `overrides` what `--set` changed; `git` commit plus "+dirty". */
export const RunStarted = Schema.TaggedStruct("RunStarted", {
  ...head,
  pipeline: Schema.String,
  objective: Schema.optionalKey(Schema.String),
  git: Schema.NullOr(Schema.String),
  pid: Schema.Int,
  /** Start time of the process in clock ticks since boot, null where the system does not tell: guards against pid reuse. */
  pidStart: Schema.NullOr(Schema.String),
  config: Schema.Record(Schema.String, Schema.Json),
  overrides: Schema.Record(Schema.String, Schema.Json),
  sources: Schema.Record(Schema.String, Schema.Json)
})
export const Planned = Schema.TaggedStruct("Planned", { ...head, stages: Schema.Array(PlannedStage) })
export const StageStarted = Schema.TaggedStruct("StageStarted", {
  ...stage,
  kind: Schema.String,
  attempt: Schema.String,
  key: Schema.String,
  manifest: Schema.Array(ManifestField),
  reason: Schema.NullOr(Reason)
})
export const Progress = Schema.TaggedStruct("Progress", { ...stage, done: Schema.Finite, total: Schema.Finite, unit: Schema.String })
/** `values` has no NaN: a non-finite value is null there and its name stands in `nonFinite`. `step` counts optimizer steps. */
export const Metrics = Schema.TaggedStruct("Metrics", {
  ...stage,
  step: Schema.Int,
  values: Schema.Record(Schema.String, Schema.NullOr(Schema.Finite)),
  nonFinite: Schema.Array(Schema.String)
})
/** Memory in bytes: resident set of the stage's process, and of those that it shares its work with. */
export const Device = Schema.TaggedStruct("Device", { ...stage, rss: Schema.Finite, peakRss: Schema.Finite })
export const Log = Schema.TaggedStruct("Log", { ...stage, level: Schema.Literals(["info", "warning", "error"]), text: Schema.String })
export const Saved = Schema.TaggedStruct("Saved", {
  ...stage,
  what: Schema.Literals(["checkpoint", "artifact"]),
  name: Schema.String,
  digest: Schema.NullOr(Schema.String),
  bytes: Schema.Int,
  rows: Schema.optionalKey(Schema.Int)
})
/** Advice; `batch` is the file that keeps the step's rows: in the stage's log, in its checkpoint folder while it has no result. */
export const Alert = Schema.TaggedStruct("Alert", {
  ...stage,
  kind: Schema.String,
  step: Schema.NullOr(Schema.Int),
  detail: Schema.String,
  batch: Schema.optionalKey(Schema.String)
})
export const Resumed = Schema.TaggedStruct("Resumed", { ...stage, checkpoint: Schema.String, step: Schema.Int })
export const Waiting = Schema.TaggedStruct("Waiting", { ...stage, key: Schema.String, owner: Schema.String })
/** `producedBy` is the run that made a reused result; `metrics` the stage's final figures; times in milliseconds. */
export const StageEnded = Schema.TaggedStruct("StageEnded", {
  ...stage,
  kind: Schema.String,
  outcome: StageOutcome,
  key: Schema.NullOr(Schema.String),
  outputs: Schema.Array(OutputRecord),
  metrics: Schema.Record(Schema.String, Schema.NullOr(Schema.Finite)),
  summary: Schema.optionalKey(Schema.String),
  producedBy: Schema.optionalKey(Schema.String),
  computeMs: Schema.Finite,
  writeMs: Schema.Finite,
  error: Schema.NullOr(ErrorRecord)
})
export const Registered = Schema.TaggedStruct("Registered", {
  ...stage,
  name: Schema.String,
  version: Schema.Int,
  digest: Schema.String,
  key: Schema.String
})
export const AliasMoved = Schema.TaggedStruct("AliasMoved", { ...head, name: Schema.String, alias: Schema.String, version: Schema.Int })
/** `savedMs` is the compute time that reuse saved, from the runs that produced the reused results. */
export const RunEnded = Schema.TaggedStruct("RunEnded", { ...head, outcome: RunOutcome, savedMs: Schema.Finite })

export const RunEvent = Schema.Union([
  RunStarted,
  Planned,
  StageStarted,
  Progress,
  Metrics,
  Device,
  Log,
  Saved,
  Alert,
  Resumed,
  Waiting,
  StageEnded,
  Registered,
  AliasMoved,
  RunEnded
])
export type RunEvent = typeof RunEvent.Type

type Body<E> = E extends RunEvent ? Omit<E, "v" | "seq" | "time" | "run"> : never
/** An event before the journal stamps v, seq, time and run on it. */
export type RunEventBody = Body<RunEvent>

type StageBody<E> = E extends
  | typeof Progress.Type
  | typeof Metrics.Type
  | typeof Device.Type
  | typeof Log.Type
  | typeof Saved.Type
  | typeof Alert.Type
  | typeof Resumed.Type
  ? Omit<E, "v" | "seq" | "time" | "run" | "stage">
  : never
/** What a running stage may report; the engine adds the stage's id. */
export type StageEvent = StageBody<RunEvent>
