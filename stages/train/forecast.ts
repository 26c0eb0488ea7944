// A train stage's memory, told from its options, the model's config and the sizes of its rows, before a weight is read; where the rows are not
// known yet, from how long they may be at most.
import { trainingOrder } from "#src/batching/order.ts"
import type { RowLayout } from "#src/batching/place.ts"
import type { RowSizes } from "#src/batching/rows.ts"
import type { BatchShape } from "#src/batching/shapes.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { boundShapes, positionsOf, trainingShapes, validationBatches } from "#src/runtime/batchShapes.ts"
import { type Forecast, forecast } from "#src/runtime/Forecast.ts"
import { isRandom } from "#src/runtime/regularize.ts"
import { optimizerOf } from "#src/runtime/TrainerOptions.ts"
import { type Tuning, tuningOf } from "#src/runtime/Tuning.ts"
import { kindOf } from "../device.ts"
import { arrange, layoutOf } from "./preflight.ts"
import { workersOf } from "./share.ts"
import type { TrainConfig } from "./stage.ts"

/** What is known of the rows: their sizes, or how long they may be at most. */
export type Rows =
  | { readonly kind: "known"; readonly train: RowSizes; readonly ids: readonly string[]; readonly validation?: RowSizes | undefined }
  | Bound

/** The most tokens that a row may have. */
export interface Bound {
  readonly kind: "bound"
  readonly maxLength: number
  /** The same of validation rows, where there are some. */
  readonly validation?: number | undefined
}

export interface Subject {
  readonly model: Model
  /** Absent where they are made, not read. */
  readonly weights?: Weights
  readonly rows: Rows
}

interface Shapes {
  readonly layout: RowLayout | undefined
  readonly shapes: readonly BatchShape[]
  readonly validationShapes: readonly BatchShape[]
}

const shapesOf = (config: TrainConfig, { model, rows }: Subject, tuning: Tuning): Shapes => {
  const positions = positionsOf(model, tuning)
  const { batchSize } = config
  if (rows.kind === "bound") {
    // A row of n tokens has n - 1 places to read, and one with more than the model has is refused.
    const placesOf = (tokens: number): number => Math.max(1, Math.min(tokens - 1, model.positionLimit ?? Infinity))
    const length = config.packing && config.packLength !== undefined ? config.packLength : placesOf(rows.maxLength)
    return {
      // Whatever they turn out to have in common: the least takes as much as the most.
      layout: config.packing ? { length, commonPrefix: Number(!isRandom(config, tuning.adapter)) } : undefined,
      shapes: boundShapes("training", batchSize, length, positions),
      validationShapes: rows.validation === undefined ? [] : boundShapes("validation", batchSize, placesOf(rows.validation), positions)
    }
  }
  const { train, ids, validation } = rows
  const layout = layoutOf(config, ids, train, tuning.adapter)
  const order = trainingOrder({ ...config, rows: ids.length, arrangement: arrange(config, train, layout) })
  return {
    layout,
    shapes: trainingShapes(train, order, layout, positions),
    validationShapes: validation === undefined ? [] : validationBatches(validation, batchSize, positions).shapes
  }
}

/** @throws what the training itself would throw for options that do not fit the model */
export const forecastOf = (config: TrainConfig, subject: Subject): Forecast => {
  const { model, weights } = subject
  const tuning = tuningOf(model, config.method, config.learningRate)
  return forecast({
    model,
    tuning,
    method: config.method,
    ...(weights === undefined ? {} : { weights }),
    dtype: config.dtype,
    mapped: kindOf(config.device) === "cpu",
    optimizer: optimizerOf(config),
    batchSize: config.batchSize,
    ...shapesOf(config, subject, tuning),
    accumulates: config.gradientAccumulationSteps > 1,
    anchored: config.l2ToBase > 0,
    gradientCheckpointing: config.gradientCheckpointing,
    regularization: config,
    workers: workersOf(config)
  })
}
