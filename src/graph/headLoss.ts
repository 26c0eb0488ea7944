// The loss behind an output head, a few rows at a time, so that [rows, vocabulary] is never whole in memory. Each chunk's gradient is
// taken as soon as its loss is known, before the next chunk's logits are made; nothing is computed twice.
import { vjp } from "./autodiff.ts"
import { GraphError } from "./GraphError.ts"
import { crossEntropy, type Loss } from "./loss.ts"
import { add, after, mul } from "./ops/elementwise.ts"
import { concat, reshape, slice } from "./ops/shape.ts"
import type { Recompute } from "./recompute.ts"
import type { Node, Value } from "./Value.ts"
import { softmaxMinusOnehot } from "./vjp/nn.ts"

export interface HeadLoss {
  /** [S, D]: what the head reads. */
  readonly rows: Value
  /** [M, D] to logits [M, V]. */
  readonly head: (rows: Value) => Value
  /** int64 [S] */
  readonly targets: Value
  /** [S] */
  readonly weights: Value
  readonly smoothing?: number
  /** Rows at a time, at most: they are shared out evenly. */
  readonly chunk: number
}

interface Chunk {
  readonly start: number
  readonly end: number
}

const chunksOf = ({ rows, chunk }: HeadLoss): readonly Chunk[] => {
  const count = rows.shape[0]!
  const parts = Math.ceil(count / chunk)
  const border = (i: number): number => Math.ceil((i * count) / parts)
  return Array.from({ length: parts }, (_, i) => ({ start: border(i), end: border(i + 1) }))
}

const part = (x: Value, { start, end }: Chunk): Value => slice(x, 0, start, end)

const lossOf = (x: Value, loss: HeadLoss, chunk: Chunk, logits = loss.head(x)): Loss =>
  crossEntropy(logits, part(loss.targets, chunk), part(loss.weights, chunk), loss.smoothing)

/** Scalar: sum over the rows of weight x loss (loss.ts). */
export const headLoss = (loss: HeadLoss): Value =>
  chunksOf(loss)
    .map((chunk) => lossOf(part(loss.rows, chunk), loss, chunk).sum)
    .reduce((sum, each) => add(sum, each))

export interface HeadGradients {
  /** As headLoss. */
  readonly sum: Value
  /** Of scale x sum, one per entry of `wrt`. */
  readonly gradients: readonly Value[]
}

/** Whether the nodes that make logits of x are one product, of x with something else. */
const isProduct = (nodes: readonly Node[], x: Value): boolean => {
  const last = nodes.at(-1)
  return last?.op === "MatMul" && last.inputs[0] === x && nodes.filter(({ inputs }) => inputs.includes(x)).length === 1
}

interface Wanted {
  /** A float scalar. */
  readonly scale: Value
  readonly wrt: readonly Value[]
  /** Stored forms, which each chunk makes anew. */
  readonly recompute: Recompute
}

/**
 * Of one chunk: its loss, the gradient of its rows, and those of the head's weights among `wrt`, added to what is in `totals`.
 * `alone`: it is the only one; else first comes the loss, then the gradient of its logits, that of the rows, those of the weights.
 */
const chunkGradients = (loss: HeadLoss, chunk: Chunk, alone: boolean, { scale, wrt, recompute }: Wanted, totals: Map<Value, Value>) => {
  const { graph } = loss.rows
  const x = part(loss.rows, chunk)
  const since = graph.nodes.length
  const logits = loss.head(x)
  const behind = graph.nodes.length
  const { sum, probabilities: p } = lossOf(x, loss, chunk, logits)
  const seed = alone ? scale : reshape(after(reshape(scale, [1]), reshape(sum, [1])), [])
  // Without smoothing the gradient of a row's logits is one number times (p - onehot of its target). Where the head is one product, its rows are multiplied by
  // that number, not the logits, which are wider.
  const onRows = (loss.smoothing ?? 0) === 0 && isProduct(graph.nodes.slice(since, behind), x)
  const factor = onRows ? reshape(mul(part(loss.weights, chunk), seed), [-1, 1]) : undefined
  const scaled = (rows: Value): Value => (factor === undefined ? rows : mul(rows, factor))
  const ofLogits = onRows
    ? softmaxMinusOnehot(p, part(loss.targets, chunk))
    : vjp(graph, new Map([[sum, seed]]), [logits], { since: behind })[0]!
  const arrived = new Map([[logits, ofLogits]])
  const [ofX] = vjp(graph, arrived, [x], { since, recompute })
  const ofRows = scaled(ofX!)
  const replace = new Map([[x, scaled(alone ? x : after(x, ofX!))]])
  const found = vjp(graph, arrived, wrt, { since, onto: totals, replace, recompute })
  found.forEach((g, i) => g !== undefined && totals.set(wrt[i]!, g))
  return { sum, ofRows }
}

/**
 * The loss and the gradients of `scale` (a float scalar) times it. `recompute` is for the nodes before the rows.
 * Throws GraphError where the loss does not depend on one of `wrt`.
 */
export const headGradients = (loss: HeadLoss, scale: Value, wrt: readonly Value[], recompute: Recompute = {}): HeadGradients => {
  const { rows } = loss
  const chunks = chunksOf(loss)
  const totals = new Map<Value, Value>()
  const wanted = { scale, wrt, recompute: { stored: recompute.stored ?? [] } }
  const parts = chunks.map((chunk) => chunkGradients(loss, chunk, chunks.length === 1, wanted, totals))
  // The chunks' gradients of weights come before the body's, else their logits' gradients would wait for them.
  const ofRows = parts.map((each) => each.ofRows)
  const last = [...totals.values()].reduce((x, total) => after(x, total), ofRows.at(-1)!)
  const ofAll = concat([...ofRows.slice(0, -1), last], 0)
  const found = vjp(rows.graph, new Map([[rows, ofAll]]), wrt, { onto: totals, recompute })
  const gradients = found.map((g, i) => {
    if (g === undefined) throw new GraphError("gradients", [wrt[i]!.shape], `the loss does not depend on ${wrt[i]!.name}`)
    return g
  })
  // Added up at the very end: the sum is an output that would else be computed first, with all chunks' logits waiting.
  return { sum: parts.map(({ sum }) => sum).reduce((sum, each) => add(sum, each)), gradients }
}
