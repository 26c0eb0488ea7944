// The processes that share a training's micro-batches: the stage's own and its replicas (replica.ts).
import { fileURLToPath } from "node:url"
import type { StageContext, StageTask } from "#src/domain/StageContext.ts"
import { Exchange, openExchange } from "#src/runtime/parallel/Exchange.ts"
import { parallelLearner } from "#src/runtime/parallel/parallelLearner.ts"
import { exchangeFd } from "#src/runtime/parallel/protocol.ts"
import { Replica } from "#src/runtime/parallel/Replica.ts"
import type { Learner } from "#src/runtime/Learner.ts"
import { prepare } from "./prepare.ts"
import { threadsOf, totalThreads } from "./share.ts"
import type { TrainConfig } from "./stage.ts"

export interface Team {
  readonly learner: Learner
  /** Ends the replicas; done when they are gone. */
  readonly end: () => Promise<void>
}

// The sources run as they are; in the bundle this module lies in chunks/, below the entries.
const entry = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./replica.ts" : "../train-replica.js", import.meta.url))

/** A learner whose items are computed by `workers` processes, `own` in this one. */
export const startTeam = (context: StageContext<TrainConfig>, own: Learner, workers: number): Team => {
  if (workers === 1) return { learner: own, end: () => Promise.resolve() }
  const { trainables } = own.store
  const fd = openExchange(trainables, workers - 1, context.workDir)
  const exchange = new Exchange(fd, trainables)
  const task = taskOf(context)
  const replicas = Array.from({ length: workers - 1 }, (_, at) => {
    const replica = new Replica(entry, `worker ${at + 2} of ${workers}`, fd)
    replica.send({ type: "start", task, region: at + 1, of: workers })
    return replica
  })
  context.emit({ _tag: "Log", level: "info", text: `${workers} processes share the micro-batches of each step` })
  return {
    learner: parallelLearner(own, replicas, exchange),
    end: async () => {
      await Promise.all(replicas.map((replica) => replica.end()))
      exchange.close()
    }
  }
}

/** The context without its functions, which cannot be sent. */
const taskOf = ({ pipeline, run, stage, key, config, inputs, files, ...rest }: StageContext<TrainConfig>): StageTask => {
  const { workDir, checkpointDir, leasePath, attempt, threads } = rest
  return { pipeline, run, stage, key, config, inputs, files, workDir, checkpointDir, leasePath, attempt, threads }
}

/** What a replica, the `worker`th (from 0) of `workers`, needs to serve: the same learner and order as the stage's process, over the exchange that it inherited. */
export const prepareReplica = async ({ config, inputs, threads, workDir }: StageTask<TrainConfig>, worker: number, workers: number) => {
  const quiet = { config, inputs, workDir, emit: () => undefined }
  const { learner, order } = await prepare(quiet, threadsOf(totalThreads(config, threads), workers), worker)
  return { learner, order, exchange: new Exchange(exchangeFd, learner.store.trainables) }
}
