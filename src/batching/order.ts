// The order of training: which rows each optimizer step reads. A pure function of the step, so that a resumed run needs
// no more than its step number. Counts are transformers' (trainer.py: num_update_steps_per_epoch, max_steps).
import { type Arrangement, shuffled } from "./arrange.ts"

export interface OrderOptions {
  /** Documents. */
  readonly rows: number
  /** Rows of a micro-batch. */
  readonly batchSize: number
  readonly gradientAccumulationSteps: number
  /** May be a fraction. */
  readonly epochs: number
  /** Optimizer steps; overrides `epochs`. */
  readonly maxSteps?: number | undefined
  readonly seed: number
  /** Of each epoch's documents into rows; default: shuffled, one document a row. */
  readonly arrangement?: Arrangement
}

export interface Order {
  readonly stepsPerEpoch: number
  readonly totalSteps: number
  /** Micro-batches of step `step` (0-based), each a list of documents; an epoch's last step may have fewer of them. */
  readonly group: (step: number) => readonly (readonly number[])[]
}

/** Every epoch reads all documents once, in a new order. */
export const trainingOrder = (o: OrderOptions): Order => {
  const arrangement = o.arrangement ?? shuffled(o.rows, o.seed)
  const batches = Math.ceil(arrangement.rows / o.batchSize)
  const stepsPerEpoch = Math.max(1, Math.ceil(batches / o.gradientAccumulationSteps))
  const rowsOf = lastOnly(arrangement.epoch)
  return {
    stepsPerEpoch,
    totalSteps: o.maxSteps ?? Math.ceil(o.epochs * stepsPerEpoch),
    group: (step) => {
      const rows = rowsOf(Math.floor(step / stepsPerEpoch))
      const first = (step % stepsPerEpoch) * o.gradientAccumulationSteps
      const last = Math.min(batches, first + o.gradientAccumulationSteps)
      return Array.from({ length: last - first }, (_, i) => rows.slice((first + i) * o.batchSize, (first + i + 1) * o.batchSize).flat())
    }
  }
}

const lastOnly = <A, B>(f: (a: A) => B): ((a: A) => B) => {
  let last: { readonly a: A; readonly b: B } | undefined
  return (a) => (last !== undefined && last.a === a ? last : (last = { a, b: f(a) })).b
}
