// Greedy continuation the slow way: the whole text through one graph without a cache, again for every token.
import type { Adapter } from "#src/adapters/Adapter.ts"
import { Graph } from "#src/graph/Graph.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { runGraph } from "../graph/runGraph.ts"

export interface Adapted {
  readonly adapter: Adapter
  readonly weights: Weights
}

/** Logits of every position, [T * V]; an adapter is applied through the graph's hook, not merged. */
export const logitsOf = async (model: Model, weights: Weights, ids: readonly number[], adapter?: Adapted): Promise<Float32Array> => {
  const graph = new Graph()
  const added = adapter?.adapter.parameters ?? []
  const all = [...model.parameters, ...added]
  const values = new Map(all.map(({ name, shape }) => [name, graph.input(name, "float32", shape)] as const))
  const param = (name: string) => values.get(adapter?.adapter.replaces.get(name) ?? name)!
  const { logits } = model.build(graph, {
    inputIds: graph.input("ids", "int64", [1, ids.length]),
    param,
    hooks: adapter?.adapter.hooks({ param }) ?? {}
  })
  graph.output("logits", logits)
  const tensors = Object.fromEntries(all.map(({ name }) => [name, (weights.has(name) ? weights : adapter!.weights).read(name)]))
  return (await runGraph(graph, { ...tensors, ids: BigInt64Array.from(ids, BigInt) }))["logits"] as Float32Array
}

/** The next `count` ids, or fewer where one of `eos` is chosen. */
export const uncachedGreedy = async (
  model: Model,
  weights: Weights,
  prompt: readonly number[],
  count: number,
  { eos = [], adapter }: { readonly eos?: readonly number[]; readonly adapter?: Adapted } = {}
): Promise<readonly number[]> => {
  const ids = [...prompt]
  while (ids.length < prompt.length + count) {
    const logits = (await logitsOf(model, weights, ids, adapter)).subarray(-model.vocabSize)
    const next = logits.indexOf(Math.max(...logits))
    if (eos.includes(next)) break
    ids.push(next)
  }
  return ids.slice(prompt.length)
}

/** Per target position: its loss in nats (float64 from float32 logits) and whether its logit is the highest. */
export const rowLosses = async (model: Model, weights: Weights, ids: readonly number[], adapter?: Adapted) => {
  const logits = await logitsOf(model, weights, ids, adapter)
  const V = model.vocabSize
  return ids.slice(1).map((target, t) => {
    const row = logits.subarray(t * V, (t + 1) * V)
    const most = Math.max(...row)
    const total = row.reduce((sum, logit) => sum + Math.exp(logit - most), 0)
    return { nll: Math.log(total) + most - (row[target] as number), first: row[target] === most }
  })
}
