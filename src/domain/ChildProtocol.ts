// What the engine and a stage's own process say to each other over IPC (plain JSON messages).
// The child builds its StageContext from the task: output(name) is outputPath(task.workDir, name) of store/Work.ts,
// verifyLease() is verifyLease(task.leasePath, task.attempt) of store/Lease.ts.
import type { AnnealError } from "./Errors.ts"
import type { StageResult } from "./Pipeline.ts"
import type { StageEvent } from "./RunEvent.ts"
import type { StageTask } from "./StageContext.ts"

/**
 * Engine -> child. `start` comes once and first; `kind` names a builtin kind. `stop` asks for the end of the current step, a
 * checkpoint and an InterruptedError. A closed channel means that the engine died: treat it as `stop`, then exit.
 */
export type ToChild = { readonly type: "start"; readonly kind: string; readonly task: StageTask } | { readonly type: "stop" }

/** Child -> engine. Exactly one `done` or `failed` comes last; an exit without either is a crash. `error` is the encoded AnnealError. */
export type FromChild =
  | { readonly type: "event"; readonly event: StageEvent }
  | { readonly type: "done"; readonly result: StageResult }
  | { readonly type: "failed"; readonly error: typeof AnnealError.Encoded; readonly stack?: string }
