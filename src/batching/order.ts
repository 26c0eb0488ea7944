// The order of training: which rows each optimizer step reads. A pure function of the step, so that a resumed run needs
// no more than its step number. Counts are transformers' (trainer.py: num_update_steps_per_epoch, max_steps).
import { hash32, permutation } from "#src/domain/random.ts"

export interface OrderOptions {
  readonly rows: number
  readonly batchSize: number
  readonly gradientAccumulationSteps: number
  /** May be a fraction. */
  readonly epochs: number
  /** Optimizer steps; overrides `epochs`. */
  readonly maxSteps?: number | undefined
  readonly seed: number
}

export interface Order {
  readonly stepsPerEpoch: number
  readonly totalSteps: number
  /** Micro-batches of step `step` (0-based), each a list of row numbers; an epoch's last step may have fewer of them. */
  readonly group: (step: number) => readonly (readonly number[])[]
}

/** Every epoch reads all rows once, in a new order. */
export const trainingOrder = (o: OrderOptions): Order => {
  const batches = Math.ceil(o.rows / o.batchSize)
  const stepsPerEpoch = Math.max(1, Math.ceil(batches / o.gradientAccumulationSteps))
  const orderOf = lastOnly((epoch: number) => permutation(hash32(o.seed, "order"), epoch, o.rows))
  return {
    stepsPerEpoch,
    totalSteps: o.maxSteps ?? Math.ceil(o.epochs * stepsPerEpoch),
    group: (step) => {
      const rows = orderOf(Math.floor(step / stepsPerEpoch))
      const first = (step % stepsPerEpoch) * o.gradientAccumulationSteps
      const last = Math.min(batches, first + o.gradientAccumulationSteps)
      return Array.from({ length: last - first }, (_, i) =>
        Array.from(rows.subarray((first + i) * o.batchSize, (first + i + 1) * o.batchSize))
      )
    }
  }
}

const lastOnly = <A, B>(f: (a: A) => B): ((a: A) => B) => {
  let last: { readonly a: A; readonly b: B } | undefined
  return (a) => (last !== undefined && last.a === a ? last : (last = { a, b: f(a) })).b
}
