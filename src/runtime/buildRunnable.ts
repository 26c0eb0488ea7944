// Weights as inputs of a graph, so that sessions read the caller's arrays and hold no copy.
import type { Graph } from "#src/graph/Graph.ts"
import type { BuildArgs, Built } from "#src/models/Model.ts"
import { frozenValues } from "./Frozen.ts"
import type { Runnable } from "./RunnableModel.ts"

/** Builds a runnable model's forward pass; its tensors are inputs, to be fed with frozenFeeds(parameters). */
export const buildRunnable = (graph: Graph, { model, adapter, parameters }: Runnable, args: Omit<BuildArgs, "param" | "hooks">): Built => {
  const { value } = frozenValues(graph, parameters)
  const param = (name: string) => value(adapter?.replaces.get(name) ?? name)!
  return model.build(graph, { ...args, param, hooks: adapter?.hooks({ param }) ?? {} })
}
