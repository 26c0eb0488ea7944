// A replica's work: takes the weights from the exchange, computes its share item by item, puts gradients into its region.
import type { MessagePort } from "node:worker_threads"
import type { Order } from "#src/batching/order.ts"
import { BugError } from "#src/domain/Errors.ts"
import { faultPoint } from "../faults.ts"
import type { Learner } from "../Learner.ts"
import { ownMemory } from "../processMemory.ts"
import type { Exchange } from "./Exchange.ts"
import type { FromReplica, Share, ToReplica } from "./protocol.ts"

/** Messages of a port, one after the other. */
export const inboxOf = (port: MessagePort): (() => Promise<ToReplica>) => {
  const messages: ToReplica[] = []
  let wake: () => void = () => undefined
  port.on("message", (message: ToReplica) => {
    messages.push(message)
    wake()
  })
  return async () => {
    for (;;) {
      const message = messages.shift()
      if (message !== undefined) return message
      await new Promise<void>((woken) => (wake = woken))
    }
  }
}

/** Serves until the process is ended from outside. */
export const serve = async (
  learner: Learner,
  order: Order,
  exchange: Exchange,
  region: number,
  next: () => Promise<ToReplica>,
  say: (message: FromReplica) => void
): Promise<never> => {
  /** Whether the region holds a gradient that was not read yet. */
  let full = false
  const gradients = async ({ step, scale, items }: Extract<Share, { type: "gradients" }>): Promise<void> => {
    const group = order.group(step)
    for (const item of items) {
      const loss = await learner.gradients(group[item] as readonly number[], scale, step)
      faultPoint("in-replica")
      while (full) full = (await next()).type !== "taken"
      exchange.writeGradients(region)
      full = true
      say({ type: "result", item, loss, memory: ownMemory() })
    }
  }
  const losses = async (items: readonly number[]): Promise<void> => {
    const { validation } = learner
    if (validation === undefined) throw new BugError({ message: "a replica without a validation part was asked for its losses" })
    for (const item of items) {
      const loss = await validation.loss(validation.batches[item] as readonly number[])
      say({ type: "result", item, loss, memory: ownMemory() })
    }
  }
  for (;;) {
    const message = await next()
    if (message.type === "taken") full = false
    else if (message.type !== "start") {
      exchange.readWeights()
      await (message.type === "gradients" ? gradients(message) : losses(message.items))
    }
  }
}
