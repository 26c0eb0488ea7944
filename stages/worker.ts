// The worker thread of a stage's own process: builds the stage's context and runs it. ONNX Runtime blocks this thread, so
// that the process's main thread (child.ts) always hears the engine.
import { parentPort, workerData } from "node:worker_threads"
import * as Schema from "effect/Schema"
import type { FromChild } from "#src/domain/ChildProtocol.ts"
import { AnnealError, BugError, toAnnealError } from "#src/domain/Errors.ts"
import type { StageContext, StageTask } from "#src/domain/StageContext.ts"
import { verifyLease } from "#src/store/Lease.ts"
import { outputPath } from "#src/store/Work.ts"
import { kinds } from "./kinds.ts"

export interface WorkerInput {
  readonly kind: string
  readonly task: StageTask
  /** One Int32: not 0 once the stage must stop. */
  readonly stop: SharedArrayBuffer
}

const { kind, task, stop } = workerData as WorkerInput
const stopFlag = new Int32Array(stop)
const say = (message: FromChild): void => parentPort?.postMessage(message)

const context: StageContext = {
  ...task,
  output: (name) => outputPath(task.workDir, name),
  emit: (event) => say({ type: "event", event }),
  stopRequested: () => Atomics.load(stopFlag, 0) !== 0,
  verifyLease: () => verifyLease(task.leasePath, task.attempt)
}

try {
  const found = kinds[kind]
  if (found === undefined) throw new BugError({ message: `no builtin stage kind "${kind}"` })
  const { run } = await found.run()
  say({ type: "done", result: await run(context as never) })
} catch (thrown) {
  const error = Schema.encodeSync(AnnealError)(toAnnealError(thrown, task.stage))
  say({ type: "failed", error, ...(thrown instanceof Error && thrown.stack !== undefined ? { stack: thrown.stack } : {}) })
}
