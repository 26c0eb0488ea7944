// The trainer's Learner over ONNX graphs: one session per batch shape, weights in one place, random numbers from counters.
import { batchNeeds } from "#src/batching/batch.ts"
import type { Order } from "#src/batching/order.ts"
import { type RowLayout, sideBySide } from "#src/batching/place.ts"
import { rowSizes, type TokenRows } from "#src/batching/rows.ts"
import { type BatchShape, shapeOf } from "#src/batching/shapes.ts"
import { placesOf, positionsOf, trainingShapes, validationBatches } from "./batchShapes.ts"
import { BatchRunner, type RunnerOptions, type TrainingRunner } from "./BatchRunner.ts"
import { DeviceCopies } from "./DeviceCopies.ts"
import { RandomArrays } from "./RandomArrays.ts"
import { isRandom, noRegularization, type Regularization } from "./regularize.ts"
import type { DeviceFeeds } from "./Session.ts"
import { lossGraph } from "./TrainGraph.ts"
import type { Learner } from "./Learner.ts"

export interface LearnerOptions extends Omit<RunnerOptions, "frozenFeeds"> {
  readonly rows: TokenRows
  readonly validation?: TokenRows
  /** What will be trained: its batches decide the shapes. */
  readonly order: Order
  /** Documents are packed into such rows; default: one document a row. */
  readonly layout?: RowLayout | undefined
  /** Computes activations again in the backward pass instead of keeping them. Default false. */
  readonly gradientCheckpointing?: boolean
  /** Default: none. */
  readonly regularization?: Regularization
  /** Of dropout masks and noise. */
  readonly seed: number
}

export interface GraphLearner extends Learner {
  readonly release: () => Promise<void>
}

/** Opens no session yet: each shape's is made when its first batch comes. */
export const graphLearner = (options: LearnerOptions): GraphLearner => {
  const { model, tuning, batchSize, seed, store, rows, order, validation, layout, regularization = noRegularization } = options
  const { gradientCheckpointing = false } = options
  const copies = new DeviceCopies(options)
  let frozen: Promise<DeviceFeeds> | undefined
  const runner = async (...of: [BatchShape, TrainingRunner?]): Promise<BatchRunner> =>
    BatchRunner.create({ ...options, frozenFeeds: await (frozen ??= copies.feeds(options.frozen)) }, ...of)
  const sizes = rowSizes(rows)
  const positions = positionsOf(model, tuning)
  const shapes = trainingShapes(sizes, order, layout, positions)
  const kind = { layout, regularization, gradientCheckpointing }
  // The forward graphs alone tell how large the random inputs are.
  const draws = isRandom(regularization, tuning.adapter)
  const inputs = draws ? shapes.flatMap((shape) => lossGraph(model, options, batchSize, shape, { training: false, ...kind }).random) : []
  const random = new RandomArrays({ seed, rows, sizes, batchSize }, inputs)
  const trainers = lazily((shape: BatchShape) => runner(shape, { ...kind, random }))
  const readers = lazily((shape: BatchShape) => runner(shape))
  return {
    store,
    sizes,
    gradients: async (members, scale, step) => {
      const places = placesOf(sizes, members, layout)
      const needs = batchNeeds(sizes, places)
      if (needs.targets === 0) {
        await store.clear()
        return 0
      }
      return (await trainers.get(shapeOf(shapes, needs))).run(rows, sizes, places, { scale, step })
    },
    ...(validation === undefined ? {} : { validation: validationOf(batchSize, positions, validation, readers.get) }),
    release: async () => {
      for (const runner of [...trainers.made(), ...readers.made()]) await (await runner).release()
      await copies.release()
      await store.release()
    }
  }
}

const validationOf = (
  batchSize: number,
  positions: number,
  rows: TokenRows,
  readerOf: (shape: BatchShape) => Promise<BatchRunner>
): NonNullable<Learner["validation"]> => {
  const sizes = rowSizes(rows)
  const { batches, shapes } = validationBatches(sizes, batchSize, positions)
  return {
    sizes,
    batches,
    loss: async (members) => {
      const places = sideBySide(members)
      return (await readerOf(shapeOf(shapes, batchNeeds(sizes, places)))).run(rows, sizes, places)
    }
  }
}

const lazily = <A, B>(make: (a: A) => Promise<B>) => {
  const known = new Map<A, Promise<B>>()
  return {
    get: (a: A): Promise<B> => {
      const found = known.get(a) ?? make(a)
      known.set(a, found)
      return found
    },
    made: (): readonly Promise<B>[] => [...known.values()]
  }
}
