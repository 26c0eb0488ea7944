// One static shape made ready to run: its graph in a session, its batch arrays, and the feeds that never change.
import { type Batch, emptyBatch, fillBatch } from "#src/batching/batch.ts"
import type { Place, RowLayout } from "#src/batching/place.ts"
import type { RowSizes, TokenRows } from "#src/batching/rows.ts"
import type { BatchShape } from "#src/batching/shapes.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import type { DType } from "#src/graph/Type.ts"
import type { Model } from "#src/models/Model.ts"
import type { Frozen } from "./Frozen.ts"
import type { RandomArrays } from "./RandomArrays.ts"
import type { RandomInput, Regularization } from "./regularize.ts"
import { openSession } from "./openSession.ts"
import type { DeviceFeeds, Session } from "./Session.ts"
import type { Store } from "./Store.ts"
import { lossGraph } from "./TrainGraph.ts"
import { names } from "./trainNames.ts"
import type { Tuning } from "./Tuning.ts"

export interface RunnerOptions {
  readonly model: Model
  readonly tuning: Tuning
  readonly frozen: readonly Frozen[]
  /** Rows beside each other; a batch with fewer is padded with rows that do not count. */
  readonly batchSize: number
  readonly threads: number
  /** Default: cpu. */
  readonly device?: Target
  /** Which one of several of that kind. */
  readonly deviceId?: number
  /** The type that matrix products are computed in. Default: float32. */
  readonly products?: DType
  /** Holds the trained tensors. */
  readonly store: Store
  /** The frozen tensors by input name. */
  readonly frozenFeeds: DeviceFeeds
}

/** What a graph that computes gradients has besides. */
export interface TrainingRunner {
  /** Of rows that hold several documents. */
  readonly layout: RowLayout | undefined
  readonly regularization: Regularization
  readonly gradientCheckpointing: boolean
  /** Hold the graph's random inputs. */
  readonly random: RandomArrays
}

/** Of one run of a graph that computes gradients: the store takes those of `scale` times the loss. */
export interface TrainingRun {
  readonly scale: number
  readonly step: number
}

export class BatchRunner {
  readonly #session: Session
  readonly #shape: BatchShape
  readonly #batch: Batch
  readonly #feeds: DeviceFeeds
  readonly #store: Store
  readonly #fill: (places: readonly Place[], step: number) => void
  readonly #nll = new Float32Array(1)
  readonly #scale = new Float32Array(1)

  private constructor(
    session: Session,
    options: RunnerOptions,
    shape: BatchShape,
    training: TrainingRunner | undefined,
    inputs: readonly RandomInput[]
  ) {
    this.#session = session
    this.#shape = shape
    this.#store = options.store
    this.#batch = emptyBatch(options.batchSize, shape)
    this.#fill = (places, step) => training?.random.fill(inputs, shape, places, step)
    this.#feeds = {
      ...options.frozenFeeds,
      ...training?.random.feeds(inputs),
      [names.ids]: this.#batch.ids,
      [names.positions]: this.#batch.positions,
      [names.targets]: this.#batch.targets,
      [names.weights]: this.#batch.weights,
      ...(training?.layout !== undefined ? { [names.within]: this.#batch.within, [names.segments]: this.#batch.segments } : {}),
      ...(training === undefined ? {} : { [names.scale]: this.#scale })
    }
  }

  /** With `training` the graph computes gradients too. */
  static async create(options: RunnerOptions, shape: BatchShape, training?: TrainingRunner): Promise<BatchRunner> {
    const { model, batchSize, device = "cpu" } = options
    const { graph, random } = lossGraph(model, options, batchSize, shape, {
      training: training !== undefined,
      layout: training?.layout,
      regularization: training?.regularization,
      products: options.products,
      gradientCheckpointing: training?.gradientCheckpointing ?? false
    })
    const forTraining = training === undefined ? {} : { resident: options.store.resident, fills: device === "cpu" }
    const session = await openSession(graph, { ...options, ...forTraining })
    return new BatchRunner(session, options, shape, training, random)
  }

  /** Sum of the losses of the documents at `places`; `run` is that of a runner made for training. */
  async run(rows: TokenRows, sizes: RowSizes, places: readonly Place[], run?: TrainingRun): Promise<number> {
    fillBatch(this.#batch, rows, sizes, places, this.#shape)
    this.#fill(places, run?.step ?? 0)
    this.#scale[0] = run?.scale ?? 1
    const feeds = { ...this.#feeds, ...this.#store.parameters() }
    if (run === undefined) await this.#session.run(feeds, { [names.nll]: this.#nll })
    else await this.#store.fill(this.#session, feeds, this.#nll)
    return this.#nll[0] as number
  }

  release(): Promise<void> {
    return this.#session.release()
  }
}
