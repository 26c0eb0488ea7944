// Graphs of generation: reading a prompt, and one step of decoding behind cached positions.
import { Graph } from "#src/graph/Graph.ts"
import type { Value } from "#src/graph/Value.ts"
import type { Built } from "#src/models/Model.ts"
import { buildRunnable } from "./buildRunnable.ts"
import type { Runnable } from "./RunnableModel.ts"

/** Names of graph inputs and outputs besides the parameters' own. */
export const names = {
  ids: "ids",
  last: "last",
  positions: "positions",
  mask: "mask",
  logits: "logits",
  pastKey: (layer: number): string => `past.${layer}.key`,
  pastValue: (layer: number): string => `past.${layer}.value`,
  key: (layer: number): string => `present.${layer}.key`,
  value: (layer: number): string => `present.${layer}.value`
}

const outputs = (graph: Graph, { logits, present }: Built): Graph => {
  graph.output(names.logits, logits)
  present.forEach(({ key, value }, layer) => {
    graph.output(names.key(layer), key)
    graph.output(names.value(layer), value)
  })
  return graph
}

/**
 * Inputs: ids int64 [B, T] padded on the right, last int64 [B]: flat position of each row's last token. Logits [B, V], keys and values
 * [B, KV, P + T, hd]: those of the adapter's P places in front are the first.
 */
export const promptGraph = (runnable: Runnable, rows: number, length: number): Graph => {
  const graph = new Graph()
  const inputIds = graph.input(names.ids, "int64", [rows, length])
  const select = graph.input(names.last, "int64", [rows])
  return outputs(graph, buildRunnable(graph, runnable, { inputIds, select }))
}

/**
 * Inputs: ids and positions int64 [B, 1], mask float32 [B, 1, 1, C + 1], past keys and values [B, KV, C, hd] per layer.
 * Logits [B, V], keys and values of the new position [B, KV, 1, hd].
 */
export const decodeGraph = (runnable: Runnable, rows: number, capacity: number): Graph => {
  const { num_hidden_layers, num_key_value_heads, head_dim } = runnable.model.config
  const graph = new Graph()
  const inputIds = graph.input(names.ids, "int64", [rows, 1])
  const positions = graph.input(names.positions, "int64", [rows, 1])
  const mask = graph.input(names.mask, "float32", [rows, 1, 1, capacity + 1])
  const past = (name: (layer: number) => string): readonly Value[] =>
    Array.from({ length: num_hidden_layers }, (_, layer) =>
      graph.input(name(layer), "float32", [rows, num_key_value_heads, capacity, head_dim])
    )
  const cache = { keys: past(names.pastKey), values: past(names.pastValue), mask, positions }
  return outputs(graph, buildRunnable(graph, runnable, { inputIds, cache }))
}
