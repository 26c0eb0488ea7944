// A replica of data parallel training: a process beside the stage's own that computes its share of each step's micro-batches. Its
// main thread passes messages on and ends with the stage's process, whatever a worker thread computes meanwhile.
import { isMainThread, parentPort, SHARE_ENV, Worker, workerData } from "node:worker_threads"
import type { FromReplica, ToReplica } from "#src/runtime/parallel/protocol.ts"
import { workerLimits } from "#src/runtime/workerLimits.ts"

type Start = Extract<ToReplica, { type: "start" }>

/** The stage's process is gone, or wants no more: nothing here is worth keeping. */
const end = (): void => void process.kill(process.pid, "SIGKILL")

const listen = (): void => {
  let worker: Worker | undefined
  const launch = (start: Start): Worker => {
    const launched = new Worker(new URL(import.meta.url), { env: SHARE_ENV, resourceLimits: workerLimits, workerData: start })
    launched.on("message", (message: FromReplica) => process.send?.(message, undefined, undefined, (error) => error !== null && end()))
    launched.on("error", (error) => {
      console.error(error)
      process.exit(1)
    })
    return launched
  }
  // Signals to the whole group are for the stage's process to answer.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => undefined)
  process.on("disconnect", end)
  process.on("message", (message: ToReplica) => {
    if (message.type === "start") worker = launch(message)
    else worker?.postMessage(message)
  })
  if (!process.connected) end()
}

const work = async (port: NonNullable<typeof parentPort>): Promise<void> => {
  const say = (message: FromReplica): void => port.postMessage(message)
  const { inboxOf, serve } = await import("#src/runtime/parallel/serve.ts")
  const next = inboxOf(port)
  const { region, of, task } = workerData as Start
  const where = `worker ${region + 1} of ${of}`
  try {
    const { prepareReplica } = await import("./workers.ts")
    const { learner, order, exchange } = await prepareReplica(task as never, region, of)
    await serve(learner, order, exchange, region, next, say)
  } catch (thrown) {
    const [{ AnnealError, toAnnealError }, Schema] = await Promise.all([import("#src/domain/Errors.ts"), import("effect/Schema")])
    console.error(where, thrown)
    say({ type: "failed", error: Schema.encodeSync(AnnealError)(toAnnealError(thrown, where)) })
  }
}

if (parentPort === null || isMainThread) listen()
else await work(parentPort)
