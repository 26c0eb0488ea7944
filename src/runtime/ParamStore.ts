// The trainable tensors with their gradients and AdamW moments, and the arithmetic of one optimizer step over all of them.
import { adamwFactors, type AdamWOptions } from "#src/graph/optimizer.ts"
import { sharedArrays, type ArrayGroup } from "./SharedArrays.ts"

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
  readonly m: Float32Array
  readonly v: Float32Array
}

interface Slot {
  readonly trainable: Trainable
  readonly group: ArrayGroup
}

/** State of all trainable tensors, zeroed at first: 16 bytes per value, 4 more with an accumulation buffer, and 4 with the initial weights. */
export class ParamStore {
  readonly trainables: readonly Trainable[]
  readonly #slots: readonly Slot[]
  readonly #accumulates: boolean
  /** Which array holds the initial weights. */
  readonly #anchor: number | undefined

  /** `accumulates`: whether a step sums the gradients of several micro-batches; `anchored`: whether initial weights are kept. */
  constructor(specs: readonly TrainableSpec[], accumulates: boolean, anchored = false) {
    const sizes = specs.map((spec) => spec.shape.reduce((product, n) => product * n, 1))
    const groups = sharedArrays(sizes, 4 + Number(accumulates) + Number(anchored))
    this.#slots = specs.map((spec, i) => {
      const group = groups[i] as ArrayGroup
      const [p, g, m, v] = group.arrays as [Float32Array, Float32Array, Float32Array, Float32Array]
      return { trainable: { ...spec, p, g, m, v }, group }
    })
    this.#accumulates = accumulates
    this.#anchor = anchored ? 4 + Number(accumulates) : undefined
    this.trainables = this.#slots.map((slot) => slot.trainable)
  }

  /** Number of trained values. */
  get size(): number {
    return this.trainables.reduce((sum, { p }) => sum + p.length, 0)
  }

  /** Takes the micro-batch's gradients into the step's; `first` begins a step. */
  accumulate(first: boolean): void {
    if (!this.#accumulates) return
    for (const { group } of this.#slots) {
      if (first) (group.arrays[4] as Float32Array).fill(0)
      group.kernels.accumulate(group.addresses[4] as number, group.addresses[1] as number, group.bytes)
    }
  }

  /** Keeps the weights as they are now as the initial ones. */
  anchor(): void {
    if (this.#anchor === undefined) return
    for (const { trainable, group } of this.#slots) (group.arrays[this.#anchor] as Float32Array).set(trainable.p)
  }

  /** Adds the gradient of lambda/2 ||w - w0||^2, w0 the initial weights, to the step's. */
  pull(lambda: number): void {
    if (this.#anchor === undefined) return
    for (const { group } of this.#slots) {
      const [p, p0] = [group.addresses[0] as number, group.addresses[this.#anchor] as number]
      group.kernels.pull(this.#gradient(group), p, p0, group.bytes, lambda)
    }
  }

  /** Global L2 norm of the step's gradient: squares summed in float64, tensor by tensor in fixed order. */
  gradNorm(): number {
    return Math.sqrt(this.#slots.reduce((sum, { group }) => sum + group.kernels.sumSquares(this.#gradient(group), group.bytes), 0))
  }

  /** AdamW step `t` (from 1) with the step's gradient scaled by `clip`. */
  update(options: AdamWOptions, t: number, clip: number): void {
    for (const { trainable, group } of this.#slots) {
      const { decay, learningRateScale: scale = 1 } = trainable
      const f = adamwFactors({ ...options, learningRate: scale * options.learningRate, weightDecay: decay ? options.weightDecay : 0 }, t)
      const [p, , m, v] = group.addresses as [number, number, number, number]
      const g = this.#gradient(group)
      group.kernels.adamw(p, g, m, v, group.bytes, clip, f.decay, f.beta1, f.rest1, f.beta2, f.rest2, f.stepSize, f.rootBias, f.epsilon)
    }
  }

  #gradient(group: ArrayGroup): number {
    return group.addresses[this.#accumulates ? 4 : 1] as number
  }
}
