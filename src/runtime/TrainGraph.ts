// Builds the graph of one micro-batch of a static shape: forward, loss, and while training the gradients.
import type { RowLayout } from "#src/batching/place.ts"
import type { BatchShape } from "#src/batching/shapes.ts"
import { DefinitionError } from "#src/domain/Errors.ts"
import { Graph } from "#src/graph/Graph.ts"
import { headGradients, type HeadLoss, headLoss } from "#src/graph/headLoss.ts"
import type { DType } from "#src/graph/Type.ts"
import type { Value } from "#src/graph/Value.ts"
import type { Model } from "#src/models/Model.ts"
import { frozenValues } from "./Frozen.ts"
import { type RandomInput, randomized, type Regularization } from "./regularize.ts"
import { names } from "./trainNames.ts"
import type { Tuned } from "./Tuning.ts"

export interface GraphOptions {
  readonly training: boolean
  /** Of rows that hold several documents. Default: each holds one. */
  readonly layout?: RowLayout | undefined
  /** Activations inside a layer are computed again in the backward pass instead of being kept. */
  readonly gradientCheckpointing?: boolean
  /** The type that matrix products are computed in. Default: float32. */
  readonly products?: DType | undefined
  /** With it the graph also drops out what the adapter does. */
  readonly regularization?: Regularization | undefined
}

/**
 * Logits at a time: more rows of a large vocabulary are worked off in chunks. Each chunk reads the whole head again, so that few rows are slow; of a head
 * that is trained (128 MiB) each chunk's gradient is added to a sum as large as the head besides.
 */
const chunkLogits = { trained: 2 ** 25, frozen: 24e6 }

export interface LossGraph {
  readonly graph: Graph
  /** Inputs with random numbers, to be filled before each run. */
  readonly random: readonly RandomInput[]
}

/**
 * Inputs: ids int64 [B, T], positions, targets int64 [S], weights float32 [S], every parameter; output nll: the sum of the
 * trained positions' losses. While training also: scale float32 [], and as outputs the gradients of scale x nll with respect
 * to each trained tensor. Frozen tensors cost no gradient. With a `layout` of rows: within and segments int64 [B, T]
 * (batching/batch.ts). With `regularization`: the random inputs that are listed.
 */
export const lossGraph = (
  model: Model,
  { tuning, frozen }: Pick<Tuned, "tuning" | "frozen">,
  rows: number,
  shape: BatchShape,
  { training, layout, gradientCheckpointing: checkpointing = false, regularization, products }: GraphOptions
): LossGraph => {
  const graph = new Graph({ products })
  const inputIds = graph.input(names.ids, "int64", [rows, shape.length])
  const select = graph.input(names.positions, "int64", [shape.targets])
  const targets = graph.input(names.targets, "int64", [shape.targets])
  const weights = graph.input(names.weights, "float32", [shape.targets])
  const trained = new Map(tuning.trainables.map(({ name, shape }) => [name, graph.input(name, "float32", shape)] as const))
  const stays = frozenValues(graph, frozen)
  const { adapter } = tuning
  const ownName = (name: string): string => adapter?.replaces.get(name) ?? name
  const isTrained = (name: string): boolean => trained.has(ownName(name))
  const param = (name: string): Value => (trained.get(ownName(name)) ?? stays.value(ownName(name))) as Value
  const random = regularization && randomized(graph, model, shape.targets, regularization, adapter?.dropout.share ?? 0)
  const own = adapter?.hooks({ param, ...(random === undefined ? {} : { dropout: random.adapterDropout }) }) ?? {}
  const hooks = random?.around(own) ?? own
  if (layout !== undefined && hooks.virtualTokens !== undefined) throw packedVirtualTokens()
  const place = (name: string): Value => graph.input(name, "int64", [rows, shape.length])
  const packing =
    layout === undefined
      ? {}
      : { packing: { positions: place(names.within), segments: place(names.segments), commonPrefix: layout.commonPrefix } }
  const { final, head, hidden } = model.build(graph, { inputIds, param, select, hooks, ...packing })
  const loss: HeadLoss = {
    rows: final,
    head,
    targets,
    weights,
    smoothing: regularization?.labelSmoothingFactor ?? 0,
    chunk: Math.max(1, Math.floor(chunkLogits[isTrained(headWeight(model)) ? "trained" : "frozen"] / model.vocabSize))
  }
  if (training) {
    const recompute = { stored: stays.stored, cheap: true, ...(checkpointing ? { borders: hidden } : {}) }
    const wrt = tuning.trainables.map(({ name }) => trained.get(name) as Value)
    const { sum, gradients } = headGradients(loss, graph.input(names.scale, "float32", []), wrt, recompute)
    graph.output(names.nll, sum)
    tuning.trainables.forEach(({ name }, i) => graph.output(names.gradient(name), gradients[i] as Value))
  } else graph.output(names.nll, headLoss(loss))
  return { graph, random: random?.inputs() ?? [] }
}

const headWeight = ({ config, embedding, head }: Model): string => `${config.tie_word_embeddings ? embedding : head.path}.weight`

/** Packed rows need all that stands in front of a document in each of its layers: a prefix does, virtual tokens do not. */
export const packedVirtualTokens = (): DefinitionError =>
  new DefinitionError({
    message: "packing does not go together with a method that puts virtual tokens in front of a row",
    where: "train.packing",
    why: "they would stand in front of the row's first document only",
    hint: "leave packing out; groupByLength: true saves padding too"
  })
