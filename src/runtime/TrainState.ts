// Everything of a training run besides weights and moments, as plain data: what a checkpoint's state.json holds. Random
// numbers need no state of their own: they are functions of the seed and these counters.
import * as Schema from "effect/Schema"

const Validation = Schema.Struct({ step: Schema.Int, loss: Schema.Finite })

export const TrainState = Schema.Struct({
  /** Optimizer steps made; also the position in the data order, the schedule and the random streams. */
  step: Schema.Int,
  /** Trained tokens seen. */
  tokens: Schema.Int,
  /** Sum over all steps of the step's loss. */
  lossSum: Schema.Finite,
  /** The same since the last log line, for its mean. */
  window: Schema.Struct({ steps: Schema.Int, lossSum: Schema.Finite }),
  validations: Schema.Array(Validation),
  best: Schema.NullOr(Validation),
  /** Validations in a row without improvement. */
  misses: Schema.Int,
  log: Schema.Array(Schema.Struct({ step: Schema.Int, values: Schema.Record(Schema.String, Schema.Finite) }))
})
export type TrainState = typeof TrainState.Type

export const initialState: TrainState = {
  step: 0,
  tokens: 0,
  lossSum: 0,
  window: { steps: 0, lossSum: 0 },
  validations: [],
  best: null,
  misses: 0,
  log: []
}

export const afterStep = (state: TrainState, loss: number, tokens: number): TrainState => ({
  ...state,
  step: state.step + 1,
  tokens: state.tokens + tokens,
  lossSum: state.lossSum + loss,
  window: { steps: state.window.steps + 1, lossSum: state.window.lossSum + loss }
})

/** A log line of finite values closes the window. */
export const afterLog = (state: TrainState, values: Readonly<Record<string, number>>): TrainState => ({
  ...state,
  window: initialState.window,
  log: [...state.log, { step: state.step, values }]
})

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
