// One forward pass of a base over a short text, for adapters that begin from one: embeddings, and the keys and values of each layer.
import type { TextReading } from "#src/adapters/Adapter.ts"
import { Graph } from "#src/graph/Graph.ts"
import type { Model } from "#src/models/Model.ts"
import { type Frozen, frozenFeeds, frozenValues } from "./Frozen.ts"
import { openSession } from "./openSession.ts"

const names = { ids: "ids", embeddings: "embeddings", key: (layer: number) => `key.${layer}`, value: (layer: number) => `value.${layer}` }

/** `parameters` are the base's tensors, `ids` the text's tokens: they stand at positions 0, 1, … */
export const readText = async (
  model: Model,
  parameters: readonly Frozen[],
  ids: readonly number[],
  threads: number
): Promise<TextReading> => {
  const session = await openSession(readingGraph(model, parameters, ids.length), { threads })
  try {
    const layers = Array.from({ length: model.config.num_hidden_layers }, (_, layer) => layer)
    const feeds = { ...frozenFeeds(parameters), [names.ids]: BigInt64Array.from(ids, BigInt) }
    const found = await session.run(feeds, [names.embeddings, ...layers.map(names.key), ...layers.map(names.value)])
    const array = (name: string): Float32Array => found[name] as Float32Array
    return {
      embeddings: array(names.embeddings),
      keys: layers.map((layer) => array(names.key(layer))),
      values: layers.map((layer) => array(names.value(layer)))
    }
  } finally {
    await session.release()
  }
}

const readingGraph = (model: Model, parameters: readonly Frozen[], count: number): Graph => {
  const graph = new Graph()
  const inputIds = graph.input(names.ids, "int64", [1, count])
  const stays = frozenValues(graph, parameters)
  const { present } = model.build(graph, {
    inputIds,
    param: (name) => stays.value(name)!,
    hooks: {
      embedding: (_, plain) => {
        graph.output(names.embeddings, plain)
        return plain
      }
    }
  })
  present.forEach(({ key, value }, layer) => {
    graph.output(names.key(layer), key)
    graph.output(names.value(layer), value)
  })
  return graph
}
