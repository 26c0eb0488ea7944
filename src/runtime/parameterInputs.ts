// Weights as inputs of a graph, so that sessions read the caller's arrays and hold no copy.
import type { Graph } from "#src/graph/Graph.ts"
import type { Value } from "#src/graph/Value.ts"
import type { Model } from "#src/models/Model.ts"

/** Declares every parameter of a model as an input under its own name; gives what BuildArgs.param wants. */
export const parameterInputs = (graph: Graph, model: Model): ((name: string) => Value) => {
  const inputs = new Map(model.parameters.map(({ name, shape }) => [name, graph.input(name, "float32", shape)] as const))
  return (name) => inputs.get(name) as Value
}
