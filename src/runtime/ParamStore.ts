// The trainable tensors with their gradients and the optimizer's state, and the arithmetic of one optimizer step over all of them.
import { availableParallelism } from "node:os"
import { type Optimizer, optimizerDefaults, stateOf, type StateTensor } from "#src/graph/optimizer.ts"
import { faultPoint } from "./faults.ts"
import { RelativeUpdate } from "./RelativeUpdate.ts"
import type { DeviceFeeds, Feeds, Session } from "./Session.ts"
import { type ArrayGroup, sharedGroups, type Stage } from "./SharedArrays.ts"
import { type Reach, type SlotAddress, staged } from "./slots.ts"
import { names } from "./trainNames.ts"
import { UpdateShares } from "./UpdateShares.ts"
import { elementwise, type Rates, scratchOf } from "./updateTensor.ts"

export interface TrainableSpec {
  readonly name: string
  readonly shape: readonly number[]
  /** Whether weight decay applies: transformers leaves norms and biases out. */
  readonly decay: boolean
  /** Factor of the learning rate; default 1. */
  readonly learningRateScale?: number
}

/** Views of one trainable tensor's state, flat in row-major order. */
export interface Trainable extends TrainableSpec {
  /** The weight: fed to ONNX Runtime as it is. */
  readonly p: Float32Array
  /** The gradient of one micro-batch, until the next one's is there: ONNX Runtime writes it here. */
  readonly g: Float32Array
  /** What the optimizer keeps of it. */
  readonly state: readonly (StateTensor & { readonly data: Float32Array })[]
}

interface Slot {
  readonly address: SlotAddress
  readonly reach: Reach
  readonly weights: Float32Array
  /** The sum over a step's micro-batches, and what is added to it; without, the step's gradient is the one micro-batch's. */
  readonly sum: Float32Array | undefined
  /** The initial weights, where they are kept. */
  readonly anchor: { readonly data: Float32Array; readonly address: number } | undefined
}

/** Elements of a gradient that are brought to the kernels at a time: with the optimizer's state of as many they fit into a core's cache. */
const stagedElements = 2 ** 15

/** Threads of the norm and the update at most: all of them wait for the same memory. */
const mostThreads = 4

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1)

/**
 * State of all trainable tensors, zeroed at first. Bytes per value: 4 for the weight, 4 for the gradient of a micro-batch, 4 for
 * the sum of several micro-batches, 4 for the initial weight, and the optimizer's: adamw 8, lion and sgd with momentum 4, sgd 0,
 * adafactor next to none.
 */
export class ParamStore {
  /** Outputs of a training graph that stay on a device: none. */
  readonly resident: readonly string[] = []
  readonly trainables: readonly Trainable[]
  readonly #slots: readonly Slot[]
  readonly #shares: UpdateShares
  readonly #relative: RelativeUpdate

  /**
   * `accumulates`: whether a step sums the gradients of several micro-batches; `anchored`: whether initial weights are kept; `threads`: of the norm
   * and the update; 0: one per core.
   * @throws GraphError where the optimizer takes no such shape
   */
  constructor(
    specs: readonly TrainableSpec[],
    accumulates: boolean,
    anchored = false,
    optimizer: Optimizer = optimizerDefaults.adamw,
    threads = 1
  ) {
    const states = specs.map(({ shape }) => stateOf(optimizer, shape))
    // What is pulled is changed, so that it has a place of its own too.
    const sums = accumulates || anchored
    const fixed = 1 + Number(sums) + Number(anchored)
    const inPieces = sums || elementwise(optimizer)
    const staged = inPieces ? stagedElements : Math.max(...specs.map(({ shape }) => sizeOf(shape)))
    const groups = sharedGroups(
      specs.map(({ shape }, i) => [
        ...new Array<number>(fixed).fill(sizeOf(shape)),
        ...(states[i] as readonly StateTensor[]).map((state) => sizeOf(state.shape)),
        scratchOf(optimizer, shape)
      ]),
      staged,
      // A stage for whole tensors is too large to have several.
      inPieces ? Math.min(threads === 0 ? availableParallelism() : threads, mostThreads) : 1
    )
    this.trainables = specs.map((spec, i) => {
      const { arrays } = groups[i] as ArrayGroup
      const state = (states[i] as readonly StateTensor[]).map((tensor, k) => ({ ...tensor, data: arrays[fixed + k] as Float32Array }))
      return {
        ...spec,
        p: arrays[0] as Float32Array,
        // Not in the kernels' memory: what lies there of one tensor has to be less than 4 GiB.
        g: new Float32Array(new SharedArrayBuffer(4 * sizeOf(spec.shape))),
        state
      }
    })
    this.#relative = new RelativeUpdate(this.trainables)
    const memories = [...new Set(groups.map(({ memory }) => memory))]
    this.#slots = groups.map(({ memory, addresses, arrays, bytes }, i) => {
      const state = addresses.slice(fixed, -1)
      const { shape } = specs[i] as TrainableSpec
      const [p, sum] = addresses as [number, number]
      return {
        address: {
          memory: memories.indexOf(memory),
          p,
          g: sums ? sum : undefined,
          gradient: (this.trainables[i] as Trainable).g,
          state,
          scratch: addresses.at(-1) as number,
          bytes,
          shape
        },
        reach: { kernels: memory.kernels, stage: memory.stages[0] as Stage },
        weights: arrays[0] as Float32Array,
        sum: sums ? arrays[1] : undefined,
        anchor: anchored ? { data: arrays[2] as Float32Array, address: addresses[2] as number } : undefined
      }
    })
    this.#shares = new UpdateShares(
      this.#slots.map(({ address }) => address),
      memories,
      optimizer
    )
  }

  /** Number of trained values. */
  get size(): number {
    return this.trainables.reduce((sum, { p }) => sum + p.length, 0)
  }

  /** The arrays themselves: a session that was fed with them sees later changes. */
  parameters(): Feeds {
    return Object.fromEntries(this.trainables.map(({ name, p }) => [name, p]))
  }

  async fill(session: Session, feeds: DeviceFeeds, nll: Float32Array): Promise<void> {
    const gradients = Object.fromEntries(this.trainables.map(({ name, g }) => [names.gradient(name), g]))
    await session.run(feeds, { ...gradients, [names.nll]: nll })
  }

  clear(): void {
    for (const { g } of this.trainables) g.fill(0)
  }

  /** Takes the micro-batch's gradients into the step's; `first` begins a step. */
  accumulate(first: boolean): void {
    for (const { address, reach, sum } of this.#slots) {
      if (sum === undefined) continue
      if (first) sum.fill(0)
      for (const { at, bytes } of staged(address.gradient, reach.stage)) {
        reach.kernels.accumulate((address.g as number) + at, reach.stage.address, bytes)
      }
    }
  }

  /** Keeps the weights as they are now as the initial ones. */
  anchor(): void {
    for (const { weights, anchor } of this.#slots) anchor?.data.set(weights)
  }

  /** Adds the gradient of lambda/2 ||w - w0||^2, w0 the initial weights, to the step's. */
  pull(lambda: number): void {
    for (const { address, reach, anchor } of this.#slots) {
      if (anchor !== undefined) reach.kernels.pull(address.g as number, address.p, anchor.address, address.bytes, lambda)
    }
  }

  /** Global L2 norm of the step's gradient: squares summed in float64, piece by piece in fixed order. */
  gradNorm(): number {
    return Math.sqrt(this.#shares.squares())
  }

  /**
   * Optimizer step `t` (from 1) with the step's gradient scaled by `clip`; `ratesOf` gives each tensor's own rates. Returns how much it
   * changes the weights (RelativeUpdate.ts).
   */
  update(ratesOf: (trainable: Trainable) => Rates, t: number, clip: number): number {
    this.#relative.remember()
    this.#shares.update(this.trainables.map(ratesOf), t, clip, () => faultPoint("during-update"))
    return this.#relative.measure()
  }

  /** The initial weights, where they are kept. */
  initial(): readonly Float32Array[] | undefined {
    const kept = this.#slots.flatMap(({ anchor }) => (anchor === undefined ? [] : [anchor.data]))
    return kept.length === 0 ? undefined : kept
  }

  /** Here is where steps need the state. */
  toDevice(): void {}
  toHost(): void {}
  release(): Promise<void> {
    return this.#shares.end()
  }
}
