// Builds the graph of one micro-batch of a static shape: forward, loss, and while training the gradients.
import type { BatchShape } from "#src/batching/shapes.ts"
import { DefinitionError } from "#src/domain/Errors.ts"
import { gradients } from "#src/graph/autodiff.ts"
import { Graph } from "#src/graph/Graph.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import { mul } from "#src/graph/ops/elementwise.ts"
import type { Value } from "#src/graph/Value.ts"
import type { Model } from "#src/models/Model.ts"
import { frozenValues } from "./Frozen.ts"
import { type RandomInput, randomized, type Regularization } from "./regularize.ts"
import type { Tuned } from "./Tuning.ts"

/** Names of graph inputs and outputs besides the parameters' own. */
export const names = {
  ids: "input_ids",
  positions: "positions",
  within: "within",
  segments: "segments",
  targets: "targets",
  weights: "weights",
  scale: "scale",
  nll: "nll",
  gradient: (parameter: string): string => `gradient.${parameter}`
}

export interface GraphOptions {
  readonly training: boolean
  /** Several documents may stand in one row. */
  readonly packed?: boolean
  /** With it the graph also drops out what the adapter does. */
  readonly regularization?: Regularization | undefined
}

export interface LossGraph {
  readonly graph: Graph
  /** Inputs with random numbers, to be filled before each run. */
  readonly random: readonly RandomInput[]
}

/**
 * Inputs: ids int64 [B, T], positions, targets int64 [S], weights float32 [S], every parameter; output nll: the sum of the
 * trained positions' losses. While training also: scale float32 [], and as outputs the gradients of scale x nll with respect
 * to each trained tensor. Frozen tensors cost no gradient. With `packed` rows: within and segments int64 [B, T]
 * (batching/batch.ts). With `regularization`: the random inputs that are listed.
 */
export const lossGraph = (
  model: Model,
  { tuning, frozen }: Pick<Tuned, "tuning" | "frozen">,
  rows: number,
  shape: BatchShape,
  { training, packed = false, regularization }: GraphOptions
): LossGraph => {
  const graph = new Graph()
  const inputIds = graph.input(names.ids, "int64", [rows, shape.length])
  const select = graph.input(names.positions, "int64", [shape.targets])
  const targets = graph.input(names.targets, "int64", [shape.targets])
  const weights = graph.input(names.weights, "float32", [shape.targets])
  const trained = new Map(tuning.trainables.map(({ name, shape }) => [name, graph.input(name, "float32", shape)] as const))
  const stays = frozenValues(graph, frozen)
  const { adapter } = tuning
  const param = (name: string): Value => {
    const own = adapter?.replaces.get(name) ?? name
    return (trained.get(own) ?? stays(own)) as Value
  }
  const random = regularization && randomized(graph, model, shape.targets, regularization, adapter?.dropout.share ?? 0)
  const own = adapter?.hooks({ param, ...(random === undefined ? {} : { dropout: random.adapterDropout }) }) ?? {}
  const hooks = random?.around(own) ?? own
  if (packed && hooks.virtualTokens !== undefined) throw packedVirtualTokens()
  const place = (name: string): Value => graph.input(name, "int64", [rows, shape.length])
  const packing = packed ? { packing: { positions: place(names.within), segments: place(names.segments) } } : {}
  const { logits } = model.build(graph, { inputIds, param, select, hooks, ...packing })
  const loss = crossEntropy(logits, targets, weights, regularization?.labelSmoothingFactor)
  graph.output(names.nll, loss.sum)
  if (training) {
    const scaled = mul(loss.sum, graph.input(names.scale, "float32", []))
    const found = gradients(
      scaled,
      tuning.trainables.map(({ name }) => param(name))
    )
    tuning.trainables.forEach(({ name }, i) => graph.output(names.gradient(name), found[i] as Value))
  }
  return { graph, random: random?.inputs() ?? [] }
}

/** Packed rows need all that stands in front of a document in each of its layers: a prefix does, virtual tokens do not. */
export const packedVirtualTokens = (): DefinitionError =>
  new DefinitionError({
    message: "packing does not go together with a method that puts virtual tokens in front of a row",
    where: "train.packing",
    why: "they would stand in front of the row's first document only",
    hint: "leave packing out; groupByLength: true saves padding too"
  })
