// An optimizer step's passes over all trained tensors, shared out to threads.
import type { Optimizer } from "#src/graph/optimizer.ts"
import type { SharedMemory } from "./SharedArrays.ts"
import { countPieces, piecesOf, type Reach, type SlotAddress, squaresOf } from "./slots.ts"
import { UpdateThread } from "./UpdateThread.ts"
import { type Rates, updateTensor } from "./updateTensor.ts"

/** Values from which on a step's passes take longer than to wake a thread. */
export const worthThreads = 2 ** 20

interface Share {
  /** Numbers of its slots, ascending. */
  readonly own: readonly number[]
  readonly thread: UpdateThread
}

/** Each tensor, the largest first, to whoever has least: by thread, the numbers of its tensors. */
export const sharesOf = (sizes: readonly number[], threads: number): readonly (readonly number[])[] => {
  const shares = Array.from({ length: threads }, () => ({ size: 0, own: [] as number[] }))
  const order = sizes.map((_, i) => i).toSorted((a, b) => sizes[b]! - sizes[a]! || a - b)
  for (const i of order) {
    const least = shares.reduce((found, share) => (share.size < found.size ? share : found))
    least.size += sizes[i]!
    least.own.push(i)
  }
  return shares.map(({ own }) => own.toSorted((a, b) => a - b))
}

export class UpdateShares {
  readonly #slots: readonly SlotAddress[]
  readonly #memories: readonly SharedMemory[]
  readonly #reaches: readonly Reach[]
  readonly #optimizer: Optimizer
  /** Of each slot, the sums of squares of its pieces: they are added in the same order, whoever made them. */
  readonly #squares: readonly Float64Array[]
  readonly #shares: readonly (readonly number[])[]
  #started: readonly Share[] | undefined

  /** One thread for each stage of the memories, this one included; the others start with the first step. */
  constructor(slots: readonly SlotAddress[], memories: readonly SharedMemory[], optimizer: Optimizer) {
    this.#slots = slots
    this.#memories = memories
    this.#optimizer = optimizer
    this.#reaches = reachesOf(memories, 0)
    this.#squares = slots.map((slot) => new Float64Array(new SharedArrayBuffer(8 * countPieces(slot, this.#reaches[slot.memory]!))))
    const sizes = slots.map(({ bytes }) => bytes)
    const isWorth = sizes.reduce((sum, bytes) => sum + bytes, 0) >= 4 * worthThreads
    this.#shares = sharesOf(sizes, isWorth ? memories[0]!.stages.length : 1)
  }

  /** Sum of squares of the step's gradient. */
  squares(): number {
    for (const { thread } of this.#others()) thread.give({ work: "squares" })
    for (const i of this.#shares[0]!) squaresOf(this.#slots[i]!, this.#reachOf(i), this.#squares[i]!)
    this.#wait()
    return this.#squares.reduce((sum, pieces) => pieces.reduce((total, piece) => total + piece, sum), 0)
  }

  /** Optimizer step `t` (from 1) over the gradient scaled by `clip`; `rates` of each slot. `between`: called after each tensor of this thread. */
  update(rates: readonly Rates[], t: number, clip: number, between: () => void): void {
    for (const { own, thread } of this.#others()) thread.give({ work: "update", rates: own.map((i) => rates[i]!), t, clip })
    for (const i of this.#shares[0]!) {
      for (const place of piecesOf(this.#slots[i]!, this.#reachOf(i))) updateTensor(this.#optimizer, place, rates[i]!, t, clip)
      between()
    }
    this.#wait()
  }

  async end(): Promise<void> {
    await Promise.all((this.#started ?? []).map(({ thread }) => thread.end()))
    this.#started = undefined
  }

  /** The other threads. */
  #others(): readonly Share[] {
    return (this.#started ??= this.#start())
  }

  #reachOf(i: number): Reach {
    return this.#reaches[this.#slots[i]!.memory]!
  }

  #wait(): void {
    for (const { thread } of this.#started ?? []) thread.wait()
  }

  #start(): readonly Share[] {
    const memories = this.#memories.map(({ memory }) => memory)
    return this.#shares.flatMap((own, at) => {
      if (at === 0 || own.length === 0) return []
      const thread = new UpdateThread({
        memories,
        stages: reachesOf(this.#memories, at).map(({ stage: { address, data } }) => ({ address, elements: data.length })),
        slots: own.map((i) => this.#slots[i]!),
        squares: own.map((i) => this.#squares[i]!),
        optimizer: this.#optimizer
      })
      return [{ own, thread }]
    })
  }
}

const reachesOf = (memories: readonly SharedMemory[], thread: number): readonly Reach[] =>
  memories.map(({ kernels, stages }) => ({ kernels, stage: stages[thread]! }))
