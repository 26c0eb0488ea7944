// A train stage's memory, told from its options, the model's config and the sizes of its rows, before a weight is read; where the rows are not
// known yet, from how long they may be at most.
import { trainingOrder } from "#src/batching/order.ts"
import type { RowSizes } from "#src/batching/rows.ts"
import { type BatchShape, chooseShapes } from "#src/batching/shapes.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { positionsOf, trainingShapes, validationBatches } from "#src/runtime/batchShapes.ts"
import { type Forecast, forecast } from "#src/runtime/Forecast.ts"
import { optimizerOf } from "#src/runtime/TrainerOptions.ts"
import { type Tuning, tuningOf } from "#src/runtime/Tuning.ts"
import { kindOf } from "../device.ts"
import { arrange, packLengthOf } from "./preflight.ts"
import { workersOf } from "./share.ts"
import type { TrainConfig } from "./stage.ts"

/** What is known of the rows: their sizes, or how long they may be at most. */
export type Rows =
  | { readonly kind: "known"; readonly train: RowSizes; readonly ids: readonly string[]; readonly validation?: RowSizes | undefined }
  | { readonly kind: "bound"; readonly maxLength: number; readonly validation: boolean }

export interface Subject {
  readonly model: Model
  /** Absent where they are made, not read. */
  readonly weights?: Weights
  readonly rows: Rows
}

interface Shapes {
  readonly shapes: readonly BatchShape[]
  readonly validationShapes: readonly BatchShape[]
}

const shapesOf = (config: TrainConfig, { model, rows }: Subject, tuning: Tuning): Shapes => {
  const positions = positionsOf(model, tuning)
  const { batchSize } = config
  if (rows.kind === "bound") {
    // A row of n tokens has n - 1 places to read.
    const length = Math.max(1, config.packing && config.packLength !== undefined ? config.packLength : rows.maxLength - 1)
    const shapes = chooseShapes([{ length, targets: batchSize * length }], positions)
    return { shapes, validationShapes: rows.validation ? shapes : [] }
  }
  const { train, ids, validation } = rows
  const packLength = config.packing ? packLengthOf(config, ids, train) : undefined
  const order = trainingOrder({ ...config, rows: ids.length, arrangement: arrange(config, train, packLength) })
  return {
    shapes: trainingShapes(train, order, packLength, positions),
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
    packed: config.packing,
    gradientCheckpointing: config.gradientCheckpointing,
    regularization: config,
    workers: workersOf(config)
  })
}
