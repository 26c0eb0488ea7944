// Weights as inputs of a graph, so that sessions read the caller's arrays and hold no copy.
import type { Graph } from "#src/graph/Graph.ts"
import type { BuildArgs, Built } from "#src/models/Model.ts"
import type { RunnableModel } from "./RunnableModel.ts"

/** Builds a runnable model's forward pass; every tensor is an input under its own name, to be fed with `parameters`. */
export const buildRunnable = (
  graph: Graph,
  { model, adapter }: Pick<RunnableModel, "model" | "adapter">,
  args: Omit<BuildArgs, "param" | "hooks">
): Built => {
  const all = [...model.parameters.filter(({ name }) => adapter?.replaces.has(name) !== true), ...(adapter?.parameters ?? [])]
  const inputs = new Map(all.map(({ name, shape }) => [name, graph.input(name, "float32", shape)] as const))
  const param = (name: string) => inputs.get(adapter?.replaces.get(name) ?? name)!
  return model.build(graph, { ...args, param, hooks: adapter?.hooks({ param }) ?? {} })
}
