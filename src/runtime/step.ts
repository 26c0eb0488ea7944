// What an optimizer step is given, and what becomes of it.
import type { Trainable } from "./ParamStore.ts"
import type { StepRecord } from "./StepLog.ts"
import type { Rates } from "./updateTensor.ts"

export interface StepPlan {
  /** Number of the step among all, 0-based: the position in the data order and the random streams. */
  readonly step: number
  /** Micro-batches of row numbers. */
  readonly group: readonly (readonly number[])[]
  /** Steps made so far: skipped ones do not count for the optimizer. */
  readonly made: number
  readonly learningRate: number
  readonly rates: (rate: number) => (trainable: Trainable) => Rates
  readonly maxGradNorm: number
  readonly l2ToBase?: number
  /** Factor of the loss whose gradients are taken (lossScale.ts); 1: none. */
  readonly lossScale: number
}

export interface StepOutcome {
  readonly record: StepRecord
  /** Positions read. */
  readonly positions: number
  readonly broken?: Broken
}

/** Why nothing was changed, and the rows that are to blame. */
export interface Broken {
  readonly kind: "non-finite" | "no-targets"
  readonly what: string
  readonly members: readonly number[]
}

/** A size of all rows of a step together. */
export const sumOver = (group: StepPlan["group"], sizes: Int32Array): number =>
  group.flat().reduce((total, row) => total + (sizes[row] as number), 0)

export const brokenOutcome = ({ learningRate }: StepPlan, positions: number, broken: Broken, loss = Number.NaN): StepOutcome => ({
  record: { loss, gradNorm: Number.NaN, learningRate, tokens: 0, relativeUpdate: Number.NaN },
  positions,
  broken
})
