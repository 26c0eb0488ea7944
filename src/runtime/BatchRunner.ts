// One static shape made ready to run: its graph in a session, its batch arrays, and the feeds that never change.
import { type Batch, emptyBatch, fillBatch } from "#src/batching/batch.ts"
import type { Place } from "#src/batching/place.ts"
import type { RowSizes, TokenRows } from "#src/batching/rows.ts"
import type { BatchShape } from "#src/batching/shapes.ts"
import { encodeModel } from "#src/graph/onnx/encode.ts"
import type { Model } from "#src/models/Model.ts"
import { type Feeds, Session } from "./Session.ts"
import { lossGraph, names } from "./TrainGraph.ts"
import type { Tuning } from "./Tuning.ts"

export interface RunnerOptions {
  readonly model: Model
  readonly tuning: Tuning
  /** Rows beside each other; a batch with fewer is padded with rows that do not count. */
  readonly batchSize: number
  readonly threads: number
  /** Every parameter's array by name: read in place, so that later changes are seen. */
  readonly parameters: Readonly<Record<string, Float32Array>>
}

/** What a batch has besides while training. */
export interface Trained {
  /** The dropout masks that the graph reads, by input name. */
  readonly masks: Feeds
  /** Several documents may stand in one row. */
  readonly packed?: boolean
}

export class BatchRunner {
  readonly #session: Session
  readonly #shape: BatchShape
  readonly #batch: Batch
  readonly #feeds: Feeds
  readonly #nll = new Float32Array(1)
  readonly #scale = new Float32Array(1)

  private constructor(session: Session, options: RunnerOptions, shape: BatchShape, { masks, packed = false }: Partial<Trained>) {
    this.#session = session
    this.#shape = shape
    this.#batch = emptyBatch(options.batchSize, shape)
    this.#feeds = {
      ...options.parameters,
      ...masks,
      [names.ids]: this.#batch.ids,
      [names.positions]: this.#batch.positions,
      [names.targets]: this.#batch.targets,
      [names.weights]: this.#batch.weights,
      ...(packed ? { [names.within]: this.#batch.within, [names.segments]: this.#batch.segments } : {}),
      ...(masks === undefined ? {} : { [names.scale]: this.#scale })
    }
  }

  /** With `trained` the graph computes gradients too. */
  static async create(options: RunnerOptions, shape: BatchShape, trained?: Trained): Promise<BatchRunner> {
    const packed = trained?.packed ?? false
    const graph = lossGraph(options.model, options.tuning, options.batchSize, shape, { training: trained !== undefined, packed })
    const session = await Session.create(encodeModel(graph), { threads: options.threads })
    return new BatchRunner(session, options, shape, trained ?? {})
  }

  /** Sum of the losses of the documents at `places`; fills `gradients` (by output name) with those of `scale` times it. */
  async run(rows: TokenRows, sizes: RowSizes, places: readonly Place[], scale = 1, gradients: Feeds = {}): Promise<number> {
    fillBatch(this.#batch, rows, sizes, places, this.#shape)
    this.#scale[0] = scale
    await this.#session.run(this.#feeds, { ...gradients, [names.nll]: this.#nll })
    return this.#nll[0] as number
  }

  release(): Promise<void> {
    return this.#session.release()
  }
}
