// Scores a model on token rows without generating: per row the loss of its trained tokens and how many of them were the model's first choice.
import { batchNeeds, byLength, emptyBatch, fillBatch } from "#src/batching/batch.ts"
import { sideBySide } from "#src/batching/place.ts"
import { rowCount, rowSizes, type TokenRows } from "#src/batching/rows.ts"
import { type BatchShape, chooseShapes, shapeOf } from "#src/batching/shapes.ts"
import { Graph } from "#src/graph/Graph.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { sub } from "#src/graph/ops/elementwise.ts"
import { gatherElements } from "#src/graph/ops/index.ts"
import { reduceMax } from "#src/graph/ops/reduce.ts"
import { reshape } from "#src/graph/ops/shape.ts"
import { buildRunnable } from "./buildRunnable.ts"
import { DeviceCopies } from "./DeviceCopies.ts"
import { openSession } from "./openSession.ts"
import type { Runnable } from "./RunnableModel.ts"
import type { DeviceFeeds } from "./Session.ts"

/** By row. A row without trained tokens has zeros. */
export interface RowScores {
  /** Sum of the negative log-likelihoods of its trained tokens, in nats. */
  readonly nll: Float64Array
  /** Trained tokens to which the model gave the highest logit (no other token a higher one). */
  readonly correct: Int32Array
  /** Trained tokens. */
  readonly targets: Int32Array
}

export interface ScorerOptions {
  /** Rows beside each other, at most: fewer where their logits would not fit `logitLimit`. */
  readonly batchSize: number
  readonly threads: number
  /** Default: cpu. */
  readonly device?: Target
  /** Which one of several of that kind. */
  readonly deviceId?: number
  /** Called after each batch with the rows done so far; what it throws ends the scoring. */
  readonly onRows?: (done: number) => void
}

/** Logits computed at a time (128 MiB): a large vocabulary gets smaller batches. */
const logitLimit = 2 ** 25

/**
 * Rows of like length lie beside each other, padded on the right to one of a few lengths; the head runs on trained positions
 * only. One session is open at a time. Results do not depend on the batch size beyond rounding.
 */
export const scoreRows = async (runnable: Runnable, rows: TokenRows, options: ScorerOptions): Promise<RowScores> => {
  const copies = new DeviceCopies(options)
  try {
    return await scoreOver(runnable, await copies.feeds(runnable.parameters), rows, options)
  } finally {
    await copies.release()
  }
}

const scoreOver = async (runnable: Runnable, parameters: DeviceFeeds, rows: TokenRows, options: ScorerOptions): Promise<RowScores> => {
  const { model } = runnable
  const { batchSize, onRows } = options
  const sizes = rowSizes(rows)
  const most = sizes.targets.reduce((a, b) => Math.max(a, b), 1)
  const beside = Math.max(1, Math.min(batchSize, Math.floor(logitLimit / (most * model.vocabSize))))
  const batches = byLength(sizes, beside)
  const needs = batches.map((members) => batchNeeds(sizes, sideBySide(members)))
  const shapes = chooseShapes(needs, model.config.max_position_embeddings - (runnable.adapter?.numVirtualTokens ?? 0))
  const scores: RowScores = {
    nll: new Float64Array(rowCount(rows)),
    correct: new Int32Array(rowCount(rows)),
    targets: sizes.targets
  }
  let done = 0
  for (const shape of shapes.toReversed()) {
    const session = await openSession(scoreGraph(runnable, beside, shape), options)
    try {
      const batch = emptyBatch(beside, shape)
      for (const members of batches.filter((group) => shapeOf(shapes, batchNeeds(sizes, sideBySide(group))) === shape)) {
        fillBatch(batch, rows, sizes, sideBySide(members), shape)
        const { ids, positions, targets } = batch
        const { nll, behind } = await session.run({ ...parameters, ids, positions, targets }, ["nll", "behind"])
        const count = members.reduce((sum, row) => sum + (sizes.targets[row] as number), 0)
        for (let s = 0; s < count; s++) {
          const row = members[Math.floor(Number(positions[s]) / shape.length)] as number
          scores.nll[row] = (scores.nll[row] as number) + (nll![s] as number)
          if (behind![s] === 0) scores.correct[row] = (scores.correct[row] as number) + 1
        }
        done += members.length
        onRows?.(done)
      }
    } finally {
      await session.release()
    }
  }
  return scores
}

/** Inputs: ids [B, T], positions and targets [S]; outputs, [S] each: nll, and behind = highest logit - the target's logit. */
const scoreGraph = (runnable: Runnable, rows: number, { length, targets: count }: BatchShape): Graph => {
  const graph = new Graph()
  const inputIds = graph.input("ids", "int64", [rows, length])
  const select = graph.input("positions", "int64", [count])
  const targets = graph.input("targets", "int64", [count])
  const { logits } = buildRunnable(graph, runnable, { inputIds, select })
  const ones = graph.constant(1, "float32", [count])
  graph.output("nll", crossEntropy(logits, targets, ones).tokenNll)
  const chosen = gatherElements(logits, reshape(targets, [count, 1]), 1)
  graph.output("behind", sub(reduceMax(logits, { axes: [1], keepdims: true }), chosen))
  return graph
}
