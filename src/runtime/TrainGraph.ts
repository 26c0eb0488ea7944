// Builds the graph of one micro-batch of a static shape: forward, loss, and while training the gradients.
import type { BatchShape } from "#src/batching/shapes.ts"
import { gradients } from "#src/graph/autodiff.ts"
import { Graph } from "#src/graph/Graph.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import { mul } from "#src/graph/ops/elementwise.ts"
import type { Value } from "#src/graph/Value.ts"
import type { Linear, Model } from "#src/models/Model.ts"
import type { Tuning } from "./Tuning.ts"

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
  mask: (path: string): string => `dropout.${path}`,
  gradient: (parameter: string): string => `gradient.${parameter}`
}

/** Rows of a layer's input: the output head runs on the trained positions only. */
export const inputRows = (model: Model, { path }: Linear, rows: number, { length, targets }: BatchShape): number =>
  path === model.head.path ? targets : rows * length

export interface GraphOptions {
  readonly training: boolean
  /** Several documents may stand in one row. */
  readonly packed?: boolean
}

/**
 * Inputs: ids int64 [B, T], positions, targets int64 [S], weights float32 [S], every parameter; output nll: the sum of the
 * trained positions' losses. While training also: scale float32 [], dropout masks [B * T, in] ([S, in] for the head), and as outputs the gradients
 * of scale x nll with respect to each trained tensor. Frozen tensors cost no gradient. With `packed` rows: within and segments
 * int64 [B, T] (batching/batch.ts).
 */
export const lossGraph = (
  model: Model,
  tuning: Tuning,
  rows: number,
  shape: BatchShape,
  { training, packed = false }: GraphOptions
): Graph => {
  const graph = new Graph()
  const inputIds = graph.input(names.ids, "int64", [rows, shape.length])
  const select = graph.input(names.positions, "int64", [shape.targets])
  const targets = graph.input(names.targets, "int64", [shape.targets])
  const weights = graph.input(names.weights, "float32", [shape.targets])
  const parameters = new Map(
    [...tuning.frozen, ...tuning.trainables].map(({ name, shape }) => [name, graph.input(name, "float32", shape)] as const)
  )
  const { adapter } = tuning
  const param = (name: string): Value => parameters.get(adapter?.replaces.get(name) ?? name) as Value
  const { linears, share } = adapter?.dropout ?? { linears: [], share: 0 }
  const masks = new Map(
    (training && share > 0 ? linears : []).map(
      (linear) =>
        [linear.path, graph.input(names.mask(linear.path), "float32", [inputRows(model, linear, rows, shape), linear.inFeatures])] as const
    )
  )
  const dropout = (linear: Linear, x: Value): Value => {
    const mask = masks.get(linear.path)
    return mask === undefined ? x : mul(x, mask)
  }
  const hooks = adapter?.hooks({ param, dropout }) ?? {}
  const place = (name: string): Value => graph.input(name, "int64", [rows, shape.length])
  const packing = packed ? { packing: { positions: place(names.within), segments: place(names.segments) } } : {}
  const { logits } = model.build(graph, { inputIds, param, select, hooks, ...packing })
  const loss = crossEntropy(logits, targets, weights)
  graph.output(names.nll, loss.sum)
  if (training) {
    const scaled = mul(loss.sum, graph.input(names.scale, "float32", []))
    const found = gradients(
      scaled,
      tuning.trainables.map(({ name }) => param(name))
    )
    tuning.trainables.forEach(({ name }, i) => graph.output(names.gradient(name), found[i] as Value))
  }
  return graph
}
