// The process of a stage that runs native code: takes its task from the engine over IPC, runs it in a worker thread, and
// passes on what the worker says. It outlives neither its task nor, by more than a step, its engine.
import { SHARE_ENV, Worker } from "node:worker_threads"
import type { FromChild, ToChild } from "#src/domain/ChildProtocol.ts"
import { workerLimits } from "#src/runtime/workerLimits.ts"
import type { WorkerInput } from "./worker.ts"

const stop = new SharedArrayBuffer(4)
const requestStop = (): void => {
  Atomics.store(new Int32Array(stop), 0, 1)
}

/** Sends to the engine; `then` runs when the message has left, or at once where the engine is gone. */
const say = (message: FromChild, then: () => void = () => undefined): void => {
  if (process.connected) process.send?.(message, undefined, undefined, then)
  else then()
}

const start = ({ kind, task }: Extract<ToChild, { type: "start" }>): void => {
  // Beside this file in the bundle; the sources run it as it is.
  const file = import.meta.url.endsWith(".ts") ? "./worker.ts" : "./stage-worker.js"
  // Shared, because native code reads the environment of the process: a worker's own is a copy that it never sees.
  const worker = new Worker(new URL(file, import.meta.url), {
    env: SHARE_ENV,
    resourceLimits: workerLimits,
    workerData: { kind, task, stop } satisfies WorkerInput
  })
  let last: FromChild | undefined
  worker.on("message", (message: FromChild) => {
    if (message.type === "event") say(message)
    else last = message
  })
  worker.on("error", (error) => {
    last = {
      type: "failed",
      error: { _tag: "CrashError", message: `${error.name}: ${error.message}`, where: task.stage },
      ...(error.stack === undefined ? {} : { stack: error.stack })
    }
  })
  // An exit without a last word stays a crash: the engine sees no message.
  worker.on("exit", (code) => (last === undefined ? process.exit(code === 0 ? 1 : code) : say(last, () => process.exit(0))))
}

// Ctrl-C reaches the whole terminal: the engine decides and sends `stop`.
process.on("SIGINT", () => undefined)
process.on("SIGTERM", requestStop)
process.on("disconnect", requestStop)
process.on("message", (message: ToChild) => (message.type === "start" ? start(message) : requestStop()))
