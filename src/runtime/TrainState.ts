// Everything of a training run besides weights and moments, as plain data: what a checkpoint's state.json holds. Random
// numbers need no state of their own: they are functions of the seed and these counters.
import * as Schema from "effect/Schema"
import { TrainingAlert } from "#src/domain/TrainingLog.ts"
import { afterGood, afterOverflow, LossScale } from "./lossScale.ts"

const Validation = Schema.Struct({ step: Schema.Int, loss: Schema.Finite })

export const TrainState = Schema.Struct({
  /** Optimizer steps, skipped ones included; also the position in the data order and the random streams. */
  step: Schema.Int,
  /** Trained tokens seen. */
  tokens: Schema.Int,
  /** Sum over all steps that were made of the step's loss. */
  lossSum: Schema.Finite,
  /** Steps that changed nothing, because their numbers were not finite or they had no trained token. */
  skipped: Schema.Int,
  /** How many of them the last steps were, without one that was made between them. */
  skippedInRow: Schema.Int,
  validations: Schema.Array(Validation),
  best: Schema.NullOr(Validation),
  /** Validations in a row without improvement. */
  misses: Schema.Int,
  alerts: Schema.Array(TrainingAlert),
  /** Where losses are scaled. */
  lossScale: Schema.optionalKey(LossScale)
})
export type TrainState = typeof TrainState.Type

export const initialState: TrainState = {
  step: 0,
  tokens: 0,
  lossSum: 0,
  skipped: 0,
  skippedInRow: 0,
  validations: [],
  best: null,
  misses: 0,
  alerts: []
}

export const afterStep = (state: TrainState, loss: number, tokens: number): TrainState => ({
  ...state,
  ...(state.lossScale === undefined ? {} : { lossScale: afterGood(state.lossScale) }),
  step: state.step + 1,
  tokens: state.tokens + tokens,
  lossSum: state.lossSum + loss,
  skippedInRow: 0
})

/** The step counts for the data order and the random streams, but neither for the schedule nor for the optimizer. */
export const afterSkip = (state: TrainState): TrainState => ({
  ...state,
  step: state.step + 1,
  skipped: state.skipped + 1,
  skippedInRow: state.skippedInRow + 1
})

/** The same where a loss or gradient overflowed and a smaller scale may help; undefined where it cannot. No sign of trouble, so it does not add up. */
export const afterSmallerScale = (state: TrainState): TrainState | undefined => {
  const lossScale = state.lossScale && afterOverflow(state.lossScale)
  return lossScale && { ...afterSkip(state), skippedInRow: state.skippedInRow, lossScale }
}

/** Steps that changed the weights. */
export const madeSteps = ({ step, skipped }: TrainState): number => step - skipped

/**
 * The best loss is the lowest; patience counts validations that do not beat the best one before them by more than
 * `threshold` (transformers' EarlyStoppingCallback).
 */
export const afterValidation = (state: TrainState, loss: number, threshold: number): TrainState => {
  const { best } = state
  const point = { step: state.step, loss }
  return {
    ...state,
    validations: [...state.validations, point],
    best: best === null || loss < best.loss ? point : best,
    misses: best === null || best.loss - loss > threshold ? 0 : state.misses + 1
  }
}

export const isValidated = (state: TrainState): boolean => state.validations.at(-1)?.step === state.step
