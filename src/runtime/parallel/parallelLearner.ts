// Data parallel training: item i of a step (its i-th micro-batch) or of the validation (its i-th batch) is computed by worker
// i mod n. Worker 0 is this process; the others are replicas, which get the weights before each share of work and give back
// gradients and losses. They are asked for one item after the other, as if one process had computed all: same sums, same bytes.
import type { Learner } from "../Learner.ts"
import { type ProcessMemory, summed } from "../processMemory.ts"
import type { Exchange } from "./Exchange.ts"
import type { Share } from "./protocol.ts"
import type { Replica } from "./Replica.ts"

/** `replicas`: worker 1, 2 …; the gradients of worker w lie in region w of the exchange. */
export const parallelLearner = (
  own: Learner,
  replicas: readonly Pick<Replica, "send" | "next">[],
  exchange: Pick<Exchange, "writeWeights" | "readGradients">
): Learner => {
  const workers = replicas.length + 1
  /** Results that each replica still owes, of a kind. */
  const owed = replicas.map(() => 0)
  const memories = replicas.map((): ProcessMemory => ({ rss: 0, peakRss: 0 }))
  let gradients = false
  let position = 0

  const result = async (at: number): Promise<number> => {
    const { loss, memory } = await (replicas[at] as (typeof replicas)[number]).next()
    owed[at] = (owed[at] as number) - 1
    memories[at] = memory
    return loss
  }
  const taken = (at: number): void => {
    if (gradients) replicas[at]?.send({ type: "taken" })
  }
  /** Of a share that was given up: a step that is not finite, a validation that was stopped. */
  const drain = async (): Promise<void> => {
    for (const at of replicas.keys()) {
      while ((owed[at] as number) > 0) {
        await result(at)
        taken(at)
      }
    }
  }
  const handOut = async (items: number, share: (items: readonly number[]) => Share): Promise<void> => {
    await drain()
    exchange.writeWeights()
    replicas.forEach((replica, at) => {
      const own = Array.from({ length: items }, (_, item) => item).filter((item) => item % workers === at + 1)
      owed[at] = own.length
      if (own.length > 0) replica.send(share(own))
    })
    position = 0
  }
  /** Which replica computes the next item; -1: this process. */
  const nextOwner = (): number => (position++ % workers) - 1

  const { validation } = own
  return {
    store: own.store,
    sizes: own.sizes,
    memoryElsewhere: () => summed(memories),
    begin: async (group, scale, step) => {
      await handOut(group.length, (items) => ({ type: "gradients", step, scale, items }))
      gradients = true
    },
    gradients: async (members, scale, step) => {
      const at = nextOwner()
      if (at < 0) return own.gradients(members, scale, step)
      const loss = await result(at)
      exchange.readGradients(at + 1)
      taken(at)
      return loss
    },
    ...(validation === undefined
      ? {}
      : {
          validation: {
            ...validation,
            loss: async (members) => {
              if (members === validation.batches[0]) {
                await handOut(validation.batches.length, (items) => ({ type: "losses", items }))
                gradients = false
              }
              const at = nextOwner()
              return at < 0 ? validation.loss(members) : result(at)
            }
          }
        })
  }
}
