// One static shape made ready to run: its graph in a session, its batch arrays, and the feeds that never change.
import { type Batch, emptyBatch, fillBatch } from "#src/batching/batch.ts"
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

export class BatchRunner {
  readonly #session: Session
  readonly #shape: BatchShape
  readonly #batch: Batch
  readonly #feeds: Feeds
  readonly #nll = new Float32Array(1)
  readonly #scale = new Float32Array(1)

  private constructor(session: Session, options: RunnerOptions, shape: BatchShape, masks: Feeds, training: boolean) {
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
      ...(training ? { [names.scale]: this.#scale } : {})
    }
  }

  /** With `training` the graph computes gradients too; `masks` are the dropout masks that it then reads, by input name. */
  static async create(options: RunnerOptions, shape: BatchShape, training?: { readonly masks: Feeds }): Promise<BatchRunner> {
    const graph = lossGraph(options.model, options.tuning, options.batchSize, shape, training !== undefined)
    const session = await Session.create(encodeModel(graph), { threads: options.threads })
    return new BatchRunner(session, options, shape, training?.masks ?? {}, training !== undefined)
  }

  /** Sum of the losses of the rows `members`; fills `gradients` (by output name) with those of `scale` times it. */
  async run(rows: TokenRows, sizes: RowSizes, members: readonly number[], scale = 1, gradients: Feeds = {}): Promise<number> {
    fillBatch(this.#batch, rows, sizes, members, this.#shape)
    this.#scale[0] = scale
    await this.#session.run(this.#feeds, { ...gradients, [names.nll]: this.#nll })
    return this.#nll[0] as number
  }

  release(): Promise<void> {
    return this.#session.release()
  }
}
