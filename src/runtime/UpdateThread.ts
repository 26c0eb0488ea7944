// A thread that takes a share of an optimizer step's passes over the weights. They wait for memory, and each core waits for its own: two take half
// the time. What each computes is what one would, so the bytes are the same for any number of them.
import { existsSync } from "node:fs"
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads"
import { BugError, EnvironmentError } from "#src/domain/Errors.ts"
import type { Optimizer } from "#src/graph/optimizer.ts"
import type { SlotAddress } from "./slots.ts"
import type { Rates } from "./updateTensor.ts"

export interface ThreadInput {
  readonly memories: readonly WebAssembly.Memory[]
  /** This thread's own stage in each memory. */
  readonly stages: readonly { readonly address: number; readonly elements: number }[]
  readonly slots: readonly SlotAddress[]
  /** Shared: for each slot, the sums of squares of its pieces. */
  readonly squares: readonly Float64Array[]
  readonly optimizer: Optimizer
  /** Shared; see `signals`. */
  readonly control: Int32Array
  readonly port: MessagePort
}

/** Entries of `control`: tasks given, tasks made, whether the thread failed and is no more. */
export const signals = { given: 0, made: 1, failed: 2 } as const

export type Task =
  | { readonly work: "squares" }
  | { readonly work: "update"; readonly rates: readonly Rates[]; readonly t: number; readonly clip: number }

// The sources run as they are; in the bundle this module lies in chunks/, below the entries.
const entry = new URL(import.meta.url.endsWith(".ts") ? "./updateWorker.ts" : "../update-worker.js", import.meta.url)

/** It makes next to no objects: less of them at a time is less memory of the process. */
const resourceLimits = { maxYoungGenerationSizeMb: 1 }

export class UpdateThread {
  readonly #worker: Worker
  readonly #control: Int32Array
  readonly #port: MessagePort

  /** @throws EnvironmentError where the thread's file was never built: whoever waits for a thread that cannot start waits forever */
  constructor(input: Omit<ThreadInput, "control" | "port">) {
    if (!existsSync(entry))
      throw new EnvironmentError({ message: "dist/update-worker.js is missing", hint: "build it with: npm run build" })
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.#control = new Int32Array(new SharedArrayBuffer(4 * Object.keys(signals).length))
    const data: ThreadInput = { ...input, control: this.#control, port: port2 }
    this.#worker = new Worker(entry, { workerData: data, transferList: [port2], resourceLimits })
    this.#worker.unref()
    port1.unref()
  }

  /** Begins a task. */
  give(task: Task): void {
    this.#port.postMessage(task)
    Atomics.add(this.#control, signals.given, 1)
    Atomics.notify(this.#control, signals.given)
  }

  /** Blocks until all tasks are made. */
  wait(): void {
    const entryOf = (signal: keyof typeof signals): number => Atomics.load(this.#control, signals[signal])
    for (let made = entryOf("made"); made < entryOf("given") && entryOf("failed") === 0; made = entryOf("made"))
      Atomics.wait(this.#control, signals.made, made)
    if (entryOf("failed") === 0) return
    const why = String(receiveMessageOnPort(this.#port)?.message)
    throw new BugError({ message: "a thread of the optimizer step failed", where: "the update of the weights", why })
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }
}
