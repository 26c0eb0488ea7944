// The memory of a training, told before it begins: from the shapes of weights and batches alone, no weight is read. What the numbers
// mean and how near they come: bench/memory.ts.
import type { RowLayout } from "#src/batching/place.ts"
import type { BatchShape } from "#src/batching/shapes.ts"
import { bytesOf, runMemory } from "#src/graph/memory.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import type { OnnxModel } from "#src/graph/onnx/Model.ts"
import { typesOf } from "#src/graph/onnx/types.ts"
import { withUnderneath } from "#src/graph/onnx/underneath.ts"
import { type Optimizer, stateOf } from "#src/graph/optimizer.ts"
import { sizeOf } from "#src/graph/Type.ts"
import type { Model } from "#src/models/Model.ts"
import type { Regularization } from "./regularize.ts"
import { type Held, standIns } from "./standIns.ts"
import { lossGraph } from "./TrainGraph.ts"
import type { Tuning } from "./Tuning.ts"
import { worthThreads } from "./UpdateShares.ts"
import { scratchOf } from "./updateTensor.ts"

export interface ForecastOptions extends Held {
  readonly model: Model
  readonly tuning: Tuning
  readonly optimizer: Optimizer
  readonly batchSize: number
  /** Shapes of the batches; of each a graph is held. */
  readonly shapes: readonly BatchShape[]
  /** The same of validation; none without it. */
  readonly validationShapes: readonly BatchShape[]
  /** Several micro-batches a step. */
  readonly accumulates: boolean
  /** The initial weights are kept. */
  readonly anchored: boolean
  readonly layout: RowLayout | undefined
  readonly gradientCheckpointing: boolean
  readonly regularization: Regularization
  /** Processes that share a step. */
  readonly workers: number
}

/** Bytes at the peak of a training, by what takes them. */
export interface Forecast {
  /** Trained weights in float32, frozen ones in the form in which they are held. */
  readonly weights: number
  /** Of a micro-batch, and the sum of several. */
  readonly gradients: number
  readonly optimizer: number
  /** What the runtime holds for intermediate values, without the logits. */
  readonly activations: number
  /** Values as wide as the vocabulary that are alive when most memory is. */
  readonly logits: number
  /** Random numbers of dropout and noise, and the batch itself. */
  readonly inputs: number
  /** Graphs and their constants. */
  readonly graphs: number
  /** Intermediate values of the validation's graphs. */
  readonly validation: number
  /** Other processes of a training with several workers. */
  readonly workers: number
  /** The process itself: Node.js, ONNX Runtime and anneal, before any model. */
  readonly process: number
  readonly total: number
}

/** Measured: a training process before its first graph. */
const processBytes = 155e6
/** Measured: a thread of the update. One is counted; where there are more than two cores there may be three. */
const threadBytes = 22e6
/** Measured: a node in the graph that is built, in the bytes that are handed over, and in the session. */
const bytesPerNode = 9e3
/** A constant lies in the graph, in the bytes that are handed over, and in the session. */
const copiesOfConstants = 3

const sum = <A>(items: readonly A[], of: (item: A) => number): number => items.reduce((total, item) => total + of(item), 0)

const inMemory = (models: readonly OnnxModel[]): number =>
  sum(models, ({ nodes, initializers }) => nodes.length * bytesPerNode + copiesOfConstants * sum(initializers, ({ bytes }) => bytes.length))

/** @throws DataError, DefinitionError or GraphError as the training itself would */
export const forecast = (o: ForecastOptions): Forecast => {
  const { model, tuning, optimizer, batchSize } = o
  const frozen = standIns(model, tuning.frozen, o)
  const trained = 4 * sum(tuning.trainables, ({ shape }) => sizeOf(shape))
  const state = sum(
    tuning.trainables,
    ({ shape }) => sum(stateOf(optimizer, shape), (tensor) => sizeOf(tensor.shape)) + scratchOf(optimizer, shape)
  )

  const build = (shape: BatchShape, training: boolean) => {
    const kind = training ? { layout: o.layout, regularization: o.regularization, gradientCheckpointing: o.gradientCheckpointing } : {}
    const { graph, random } = lossGraph(model, { tuning, frozen }, batchSize, shape, { training, ...kind })
    const lowered = withUnderneath(lower(graph))
    return { model: lowered, random, run: runMemory(lowered, typesOf(lowered)) }
  }
  const each = (shapes: readonly BatchShape[], training: boolean) => {
    // A bound names one shape several times.
    const built = new Map([...new Set(shapes)].map((shape) => [shape, build(shape, training)]))
    return shapes.map((shape) => built.get(shape)!)
  }
  const training = each(o.shapes, true)
  const validation = each(o.validationShapes, false)
  const largest = training.reduce((most, each) => (each.run.peak > most.run.peak ? each : most))
  const logits = sum(largest.run.alive, (buffer) => (buffer.shape.at(-1) === model.vocabSize ? bytesOf(buffer) : 0))
  const arenas = sum(training, ({ run }) => run.arena)

  const masks = new Map<string, number>()
  for (const { name, shape } of training.flatMap(({ random }) => random)) masks.set(name, Math.max(masks.get(name) ?? 0, 4 * sizeOf(shape)))
  const batches = sum([...o.shapes, ...o.validationShapes], ({ length, targets }) => 24 * batchSize * length + 20 * targets)

  const own = {
    weights: trained * (o.anchored ? 2 : 1) + sum(frozen, ({ bytes }) => bytes),
    gradients: trained * (o.accumulates || o.anchored ? 2 : 1),
    optimizer: 4 * state,
    activations: arenas - logits,
    logits,
    inputs: sum([...masks.values()], (bytes) => bytes) + batches,
    graphs: inMemory([...training, ...validation].map((each) => each.model)),
    validation: sum(validation, ({ run }) => run.arena),
    process: processBytes + (trained < 4 * worthThreads ? 0 : threadBytes)
  }
  const total = sum(Object.values(own), (bytes) => bytes)
  // A replica leaves optimizer and validation alone; weights and gradients go through a file in memory.
  const workers = o.workers === 1 ? 0 : (o.workers - 1) * (total - own.optimizer - own.validation) + o.workers * trained
  return { ...own, workers, total: total + workers }
}
