// The trainable tensors with their gradients and the optimizer's state, and the arithmetic of one optimizer step over all of them.
import { type Optimizer, optimizerDefaults, stateOf, type StateTensor } from "#src/graph/optimizer.ts"
import { faultPoint } from "./faults.ts"
import { RelativeUpdate } from "./RelativeUpdate.ts"
import type { DeviceFeeds, Feeds, Session } from "./Session.ts"
import { type ArrayGroup, sharedGroups } from "./SharedArrays.ts"
import { names } from "./trainNames.ts"
import { type Place, type Rates, scratchOf, updateTensor } from "./updateTensor.ts"

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
  /** The gradient of one micro-batch: filled by ONNX Runtime. */
  readonly g: Float32Array
  /** What the optimizer keeps of it. */
  readonly state: readonly (StateTensor & { readonly data: Float32Array })[]
}

interface Slot {
  readonly place: Place
  readonly weights: Float32Array
  /** Address of the micro-batch's gradient. */
  readonly gradient: number
  /** The sum over a step's micro-batches, where there are several. */
  readonly sum: Side | undefined
  /** The initial weights, where they are kept. */
  readonly anchor: Side | undefined
}
interface Side {
  readonly data: Float32Array
  readonly address: number
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1)

/**
 * State of all trainable tensors, zeroed at first. Bytes per value: 4 for the weight, 4 for the gradient, 4 for the sum of several
 * micro-batches, 4 for the initial weight, and the optimizer's: adamw 8, lion and sgd with momentum 4, sgd 0, adafactor next to none.
 */
export class ParamStore {
  /** Outputs of a training graph that stay on a device: none. */
  readonly resident: readonly string[] = []
  readonly trainables: readonly Trainable[]
  readonly #slots: readonly Slot[]
  readonly #optimizer: Optimizer
  readonly #relative: RelativeUpdate

  /**
   * `accumulates`: whether a step sums the gradients of several micro-batches; `anchored`: whether initial weights are kept.
   * @throws GraphError where the optimizer takes no such shape
   */
  constructor(specs: readonly TrainableSpec[], accumulates: boolean, anchored = false, optimizer: Optimizer = optimizerDefaults.adamw) {
    const states = specs.map(({ shape }) => stateOf(optimizer, shape))
    const fixed = 2 + Number(accumulates) + Number(anchored)
    const groups = sharedGroups(
      specs.map(({ shape }, i) => [
        ...new Array<number>(fixed).fill(sizeOf(shape)),
        ...(states[i] as readonly StateTensor[]).map((state) => sizeOf(state.shape)),
        scratchOf(optimizer, shape)
      ])
    )
    this.#optimizer = optimizer
    this.trainables = specs.map((spec, i) => {
      const { arrays } = groups[i] as ArrayGroup
      const [p, g] = arrays as [Float32Array, Float32Array]
      const state = (states[i] as readonly StateTensor[]).map((tensor, k) => ({ ...tensor, data: arrays[fixed + k] as Float32Array }))
      return { ...spec, p, g, state }
    })
    this.#relative = new RelativeUpdate(this.trainables)
    this.#slots = groups.map(({ kernels, addresses, arrays, bytes }, i) => {
      const side = (at: number): Side => ({ data: arrays[at] as Float32Array, address: addresses[at] as number })
      const [p, gradient] = addresses as [number, number]
      const sum = accumulates ? side(2) : undefined
      const state = addresses.slice(fixed, -1)
      const { shape } = specs[i] as TrainableSpec
      return {
        place: { kernels, p, g: sum?.address ?? gradient, state, scratch: addresses.at(-1) as number, bytes, shape },
        weights: arrays[0] as Float32Array,
        gradient,
        sum,
        anchor: anchored ? side(fixed - 1) : undefined
      }
    })
  }

  /** Number of trained values. */
  get size(): number {
    return this.trainables.reduce((sum, { p }) => sum + p.length, 0)
  }

  /** The arrays themselves: a session that was fed with them sees later changes. */
  parameters(): Feeds {
    return Object.fromEntries(this.trainables.map(({ name, p }) => [name, p]))
  }

  /** The session fills the gradients' arrays. */
  async fill(session: Session, feeds: DeviceFeeds, nll: Float32Array): Promise<void> {
    const gradients = Object.fromEntries(this.trainables.map(({ name, g }) => [names.gradient(name), g]))
    await session.run(feeds, { ...gradients, [names.nll]: nll })
  }

  clear(): void {
    for (const { g } of this.trainables) g.fill(0)
  }

  /** Takes the micro-batch's gradients into the step's; `first` begins a step. */
  accumulate(first: boolean): void {
    for (const { place, gradient, sum } of this.#slots) {
      if (sum === undefined) return
      if (first) sum.data.fill(0)
      place.kernels.accumulate(sum.address, gradient, place.bytes)
    }
  }

  /** Keeps the weights as they are now as the initial ones. */
  anchor(): void {
    for (const { weights, anchor } of this.#slots) anchor?.data.set(weights)
  }

  /** Adds the gradient of lambda/2 ||w - w0||^2, w0 the initial weights, to the step's. */
  pull(lambda: number): void {
    for (const { place, anchor } of this.#slots) {
      if (anchor !== undefined) place.kernels.pull(place.g, place.p, anchor.address, place.bytes, lambda)
    }
  }

  /** Global L2 norm of the step's gradient: squares summed in float64, tensor by tensor in fixed order. */
  gradNorm(): number {
    return Math.sqrt(this.#slots.reduce((sum, { place }) => sum + place.kernels.sumSquares(place.g, place.bytes), 0))
  }

  /**
   * Optimizer step `t` (from 1) with the step's gradient scaled by `clip`; `ratesOf` gives each tensor's own rates. Returns how much it
   * changes the weights (RelativeUpdate.ts).
   */
  update(ratesOf: (trainable: Trainable) => Rates, t: number, clip: number): number {
    this.#relative.remember()
    this.#slots.forEach(({ place }, i) => {
      updateTensor(this.#optimizer, place, ratesOf(this.trainables[i] as Trainable), t, clip)
      faultPoint("during-update")
    })
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
  release(): void {}
}
