// Runs a stage in the engine's own process, with the context that its code is given.
import * as Effect from "effect/Effect"
import { type AnnealError, InterruptedError, toAnnealError } from "#src/domain/Errors.ts"
import type { StageKind, StageResult } from "#src/domain/Pipeline.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import type { StageContext, StageTask } from "#src/domain/StageContext.ts"
import { verifyLease } from "#src/store/Lease.ts"
import type { StageLog } from "#src/store/Log.ts"
import { reserveVersion } from "#src/store/Registry.ts"
import { outputPath } from "#src/store/Work.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import type { Control } from "./control.ts"

export interface LocalOptions {
  readonly workspace: WorkspacePaths
  readonly kind: StageKind
  readonly task: StageTask
  readonly log: StageLog
  readonly control: Control
  readonly onEvent: (event: StageEvent) => void
}

/** Errors: what the stage threw, as one of ours (its stack goes to the log); InterruptedError after a second stop. */
export const runHere = ({ workspace, kind, task, log, control, onEvent }: LocalOptions): Effect.Effect<StageResult, AnnealError> => {
  const context: StageContext = {
    ...task,
    output: (name) => outputPath(task.workDir, name),
    emit: onEvent,
    stopRequested: () => control.level() !== "go",
    verifyLease: () => verifyLease(task.leasePath, task.attempt),
    reserveVersion: async (name) => reserveVersion(workspace, name, task.key)
  }
  const work = Effect.tryPromise({
    try: async (): Promise<StageResult> => {
      const { run } = await kind.run()
      return (await run(context as never)) ?? {}
    },
    catch: (thrown) => {
      if (thrown instanceof Error) log.write(thrown.stack ?? String(thrown))
      return toAnnealError(thrown, `stage ${task.stage}`)
    }
  })
  return Effect.raceFirst(work, stoppedNow(control, task.stage))
}

/** JavaScript cannot be killed from outside: the run goes on without it, and the lease's token keeps it from publishing. */
const stoppedNow = (control: Control, stage: string): Effect.Effect<never, AnnealError> =>
  Effect.callback((resume) => {
    const fail = (): void => resume(Effect.fail(new InterruptedError({ message: "stopped at once", where: stage })))
    if (control.level() === "now") return fail()
    const off = control.onStop((level) => void (level === "now" && fail()))
    return Effect.sync(off)
  })
