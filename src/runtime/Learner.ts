// What the training loop trains with: gradients of rows and losses, whatever computes them.
import type { RowSizes } from "#src/batching/rows.ts"
import type { StepOutcome, StepPlan } from "./step.ts"
import type { ProcessMemory } from "./processMemory.ts"
import type { Store } from "./Store.ts"

/** Computes losses and gradients of rows, by their numbers. */
export interface Learner {
  readonly store: Store
  readonly sizes: RowSizes
  /** Told of a step's micro-batches before gradients() is asked for each, in this order: others may compute them meanwhile. */
  readonly begin?: (group: readonly (readonly number[])[], scale: number, step: number) => Promise<void>
  /** Fills the store's gradients with those of `scale` x (sum of the batch's losses); returns that sum, unscaled, in nats. */
  readonly gradients: (members: readonly number[], scale: number, step: number) => Promise<number>
  /**
   * Makes the first so many of these steps in one run and tells how each went; where one breaks, it is the last. For devices that keep
   * nothing between two runs; the rest of a Learner serves single steps.
   */
  readonly steps?: { readonly most: number; readonly run: (plans: readonly StepPlan[]) => Promise<readonly StepOutcome[]> }
  /** What the other processes that compute hold, as they said it last. */
  readonly memoryElsewhere?: () => ProcessMemory
  /** The validation part, where there is one: its batches, and the sum of one batch's losses. */
  readonly validation?: {
    readonly sizes: RowSizes
    readonly batches: readonly (readonly number[])[]
    readonly loss: (members: readonly number[]) => Promise<number>
  }
}
