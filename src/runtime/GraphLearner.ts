// The trainer's Learner over ONNX graphs: one session per batch shape, weights in one place, dropout masks from counters.
import { batchNeeds, byLength } from "#src/batching/batch.ts"
import type { Order } from "#src/batching/order.ts"
import { packed, type Place, sideBySide } from "#src/batching/place.ts"
import { rowSizes, type TokenRows } from "#src/batching/rows.ts"
import { type BatchShape, chooseShapes, shapeOf } from "#src/batching/shapes.ts"
import { hash32 } from "#src/domain/random.ts"
import type { Linear } from "#src/models/Model.ts"
import { BatchRunner, type RunnerOptions } from "./BatchRunner.ts"
import type { ParamStore } from "./ParamStore.ts"
import { type ArrayGroup, sharedArrays } from "./SharedArrays.ts"
import { inputRows, names } from "./TrainGraph.ts"
import type { Learner } from "./Trainer.ts"

export interface LearnerOptions extends Omit<RunnerOptions, "parameters"> {
  readonly store: ParamStore
  /** Frozen tensors by name. */
  readonly frozen: Readonly<Record<string, Float32Array>>
  readonly rows: TokenRows
  readonly validation?: TokenRows
  /** What will be trained: its batches decide the shapes. */
  readonly order: Order
  /** Documents are packed into rows of so many places; default: one document a row. */
  readonly packLength?: number
  /** Of the dropout masks. */
  readonly seed: number
}

export interface GraphLearner extends Learner {
  readonly release: () => Promise<void>
}

/** Each shape's session keeps its activations' memory until the end: validation makes do with few. */
const validationShapes = 2

/** Opens no session yet: each shape's is made when its first batch comes. */
export const graphLearner = (options: LearnerOptions): GraphLearner => {
  const { store, rows, order, validation, packLength } = options
  const parameters = { ...options.frozen, ...Object.fromEntries(store.trainables.map(({ name, p }) => [name, p])) }
  const gradients = Object.fromEntries(store.trainables.map(({ name, g }) => [names.gradient(name), g]))
  const sizes = rowSizes(rows)
  const place = (members: readonly number[]): readonly Place[] =>
    packLength === undefined ? sideBySide(members) : packed(sizes, members, packLength)
  const needs = Array.from({ length: order.totalSteps }, (_, step) => order.group(step).map((members) => batchNeeds(sizes, place(members))))
  const shapes = chooseShapes(needs.flat())
  const dropout = dropoutMasks(options, shapes)
  const trainers = lazily((shape: BatchShape) =>
    BatchRunner.create({ ...options, parameters }, shape, { masks: dropout.masks(shape), packed: packLength !== undefined })
  )
  const readers = lazily((shape: BatchShape) => BatchRunner.create({ ...options, parameters }, shape))
  return {
    store,
    sizes,
    gradients: async (members, scale, step, micro) => {
      const places = place(members)
      const shape = shapeOf(shapes, batchNeeds(sizes, places))
      const runner = await trainers.get(shape)
      dropout.fill(shape, step, micro)
      return runner.run(rows, sizes, places, scale, gradients)
    },
    ...(validation === undefined ? {} : { validation: validationOf(options.batchSize, validation, readers.get) }),
    release: async () => {
      for (const runner of [...trainers.made(), ...readers.made()]) await (await runner).release()
    }
  }
}

const validationOf = (
  batchSize: number,
  rows: TokenRows,
  readerOf: (shape: BatchShape) => Promise<BatchRunner>
): NonNullable<Learner["validation"]> => {
  const sizes = rowSizes(rows)
  const batches = byLength(sizes, batchSize)
  const shapes = chooseShapes(
    batches.map((members) => batchNeeds(sizes, sideBySide(members))),
    validationShapes
  )
  return {
    sizes,
    batches,
    loss: async (members) => {
      const places = sideBySide(members)
      return (await readerOf(shapeOf(shapes, batchNeeds(sizes, places)))).run(rows, sizes, places)
    }
  }
}

/** One mask array per layer, large enough for the longest shape; each micro-batch of each step fills it anew from its counters. */
const dropoutMasks = ({ model, tuning, batchSize, seed }: LearnerOptions, shapes: readonly BatchShape[]) => {
  const { share, linears: dropped } = tuning.adapter?.dropout ?? { share: 0, linears: [] }
  const linears = share > 0 ? dropped : []
  const valuesOf = (linear: Linear, shape: BatchShape): number => inputRows(model, linear, batchSize, shape) * linear.inFeatures
  const groups = sharedArrays(
    linears.map((linear) => Math.max(...shapes.map((shape) => valuesOf(linear, shape)))),
    1
  )
  return {
    masks: (shape: BatchShape): Readonly<Record<string, Float32Array>> =>
      Object.fromEntries(
        linears.map((linear, i) => {
          const [mask] = (groups[i] as ArrayGroup).arrays
          return [names.mask(linear.path), (mask as Float32Array).subarray(0, valuesOf(linear, shape))]
        })
      ),
    fill: (shape: BatchShape, step: number, micro: number): void =>
      linears.forEach((linear, i) => {
        const { kernels, addresses } = groups[i] as ArrayGroup
        const word = (half: number): bigint => BigInt(hash32(seed, "dropout", step, micro, linear.path, half))
        const key = (word(1) << 32n) | word(0)
        const bytes = 4 * valuesOf(linear, shape)
        kernels.dropoutMask(addresses[0] as number, bytes, key, share * 2 ** 32, 1 / (1 - share))
      })
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
