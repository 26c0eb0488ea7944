// Every error that a user can meet: what happened, where, why, and what to type next, with its exit code.
// Anything else that is thrown is a bug of ours and ends with exit code 70.
import * as Schema from "effect/Schema"

const fields = {
  /** One line: what is wrong, with the actual value. */
  message: Schema.String,
  /** File and row, stage and field, op, or folder. */
  where: Schema.optionalKey(Schema.String),
  why: Schema.optionalKey(Schema.String),
  /** What to type or change next. */
  hint: Schema.optionalKey(Schema.String)
}

/** A wrong command line: unknown command, flag, stage or run name. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", fields) {
  readonly exitCode = 2
}
/** A pipeline file that cannot be loaded or decoded: bad wiring, config, cycle, duplicate id, missing source file. */
export class DefinitionError extends Schema.TaggedError<DefinitionError>()("DefinitionError", fields) {
  readonly exitCode = 2
}
/** Input data that cannot be used: unreadable file, bad row, wrong encoding, a model folder that does not fit together. */
export class DataError extends Schema.TaggedError<DataError>()("DataError", fields) {
  readonly exitCode = 1
}
/** Training or evaluation went wrong in a way that the user can act on: NaN loss, a batch without trained tokens. */
export class TrainingError extends Schema.TaggedError<TrainingError>()("TrainingError", fields) {
  readonly exitCode = 1
}
/** The stage's own process died: native crash, out of memory, killed from outside. */
export class CrashError extends Schema.TaggedError<CrashError>()("CrashError", fields) {
  readonly exitCode = 1
}
/** A stage threw something that is not one of these errors (a user's own stage: their code; a builtin one: our bug). */
export class StageError extends Schema.TaggedError<StageError>()("StageError", fields) {
  readonly exitCode = 1
}
/** A gate that the pipeline declares is not met: minRows, requires. */
export class GateError extends Schema.TaggedError<GateError>()("GateError", fields) {
  readonly exitCode = 3
}
/** The machine: no disk space, read-only folder, no such device, lock held, permission. */
export class EnvironmentError extends Schema.TaggedError<EnvironmentError>()("EnvironmentError", fields) {
  readonly exitCode = 5
}
/** Stopped by the user; what was reached is saved. `hint` holds the command that goes on. */
export class InterruptedError extends Schema.TaggedError<InterruptedError>()("InterruptedError", fields) {
  readonly exitCode = 130
}
/** Our bug: an invariant of anneal itself does not hold. */
export class BugError extends Schema.TaggedError<BugError>()("BugError", fields) {
  readonly exitCode = 70
}

/** Union of all of them, also the codec that carries an error from a stage's own process to the engine. */
export const AnnealError = Schema.Union([
  UsageError,
  DefinitionError,
  DataError,
  TrainingError,
  CrashError,
  StageError,
  GateError,
  EnvironmentError,
  InterruptedError,
  BugError
])
export type AnnealError = typeof AnnealError.Type

export const isAnnealError = (u: unknown): u is AnnealError =>
  u instanceof Error && "exitCode" in u && "_tag" in u && typeof u._tag === "string"

const nodeCodes: Record<string, { readonly message: string; readonly hint: string }> = {
  ENOSPC: { message: "no space left on the disk", hint: "free some space, then run the same command: finished stages are kept" },
  EDQUOT: { message: "disk quota exceeded", hint: "free some space, then run the same command: finished stages are kept" },
  EROFS: { message: "the folder is on a read-only file system", hint: "choose a writable folder with --artifacts <folder>" },
  EACCES: { message: "permission denied", hint: "check the owner and mode of the file or folder" },
  EPERM: { message: "operation not permitted", hint: "check the owner and mode of the file or folder" },
  EMFILE: { message: "too many open files", hint: "raise the limit with: ulimit -n 4096" }
}

/** Turns anything thrown into one of the errors above; `where` names the stage or step that was going on. */
export const toAnnealError = (u: unknown, where: string): AnnealError => {
  if (isAnnealError(u)) return u
  const code = typeof u === "object" && u !== null && "code" in u ? String(u.code) : ""
  const path = typeof u === "object" && u !== null && "path" in u && typeof u.path === "string" ? u.path : undefined
  const known = nodeCodes[code]
  if (known !== undefined) return new EnvironmentError({ ...known, where: path === undefined ? where : `${where}: ${path}` })
  if (code === "ENOENT" && path !== undefined) {
    return new DataError({ message: `no such file or folder: ${path}`, where, hint: "check the path" })
  }
  return new StageError({ message: u instanceof Error ? `${u.name}: ${u.message}` : String(u), where })
}
