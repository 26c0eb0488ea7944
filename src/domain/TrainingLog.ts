// What the log of a finished training says: one row a step, and what was unusual. No times: its digest must be reproducible.
import * as Schema from "effect/Schema"

export interface LogRow {
  /** From 1. */
  readonly step: number
  /** Mean over the step's trained tokens in nats; null where it is not finite. */
  readonly loss: number | null
  /** Before clipping; null where it is not finite or was not computed. */
  readonly gradNorm: number | null
  readonly learningRate: number
  /** Trained tokens. */
  readonly tokens: number
  /** Size of the step's change beside that of the weights, over a sample of them; null where the step was skipped. */
  readonly relativeUpdate: number | null
  /** Of the weights after the step, where they were validated. */
  readonly validationLoss: number | null
}

/** `batch` is the file that keeps the step's rows, beside the log. */
export const TrainingAlert = Schema.Struct({
  kind: Schema.Literals(["loss-spike", "non-finite", "no-targets", "dead-learning-rate", "overfitting"]),
  step: Schema.Int,
  detail: Schema.String,
  batch: Schema.optionalKey(Schema.String)
})
export type TrainingAlert = typeof TrainingAlert.Type
