// The order in which an ONNX model lists its nodes. ONNX Runtime does not run them in that order: it walks from the leaves (nodes that no
// node reads), highest index first, into the producers, highest index first, and runs a node when all its producers have run
// (core/graph/graph_viewer.cc, ReverseDFSFrom). The order here makes that walk the one that needs least memory.

/** What ordering needs of a node: the names that it reads and makes. */
export interface Listed {
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
}

/** For each node the indices of the nodes that it reads from. */
export const producersOf = (nodes: readonly Listed[]): readonly (readonly number[])[] => {
  const producer = new Map(nodes.flatMap((node, i) => node.outputs.map((name) => [name, i] as const)))
  return nodes.map((node) => [...new Set(node.inputs.flatMap((name) => producer.get(name) ?? []))])
}

/**
 * Nodes that an output needs, from any topological order. Deep nodes (longest path from the inputs) come late, so that a gradient is
 * followed up to the loss before values that wait for it are recomputed; leaves come last in the reverse order of their creation,
 * so that what was created first (the loss, then the gradients of the topmost layer) runs first and frees what it read.
 */
export const orderNodes = <N extends Listed>(created: readonly N[], outputs: readonly string[]): readonly N[] => {
  const nodes = liveNodes(created, outputs)
  const producers = producersOf(nodes)
  const depth: number[] = []
  for (const from of producers) depth.push(1 + Math.max(0, ...from.map((i) => depth[i]!)))
  const read = new Set(producers.flat())
  const index = nodes.map((_, i) => i)
  const inner = index.filter((i) => read.has(i)).toSorted((a, b) => depth[a]! - depth[b]! || a - b)
  const leaves = index.filter((i) => !read.has(i)).toReversed()
  return [...inner, ...leaves].map((i) => nodes[i]!)
}

/** Without nodes that no output needs: a dead leaf would be run, and first. */
export const liveNodes = <N extends Listed>(nodes: readonly N[], outputs: readonly string[]): readonly N[] => {
  const wanted = new Set(outputs)
  const kept = nodes.toReversed().filter((node) => {
    const needed = node.outputs.some((name) => wanted.has(name))
    if (needed) for (const name of node.inputs) wanted.add(name)
    return needed
  })
  return kept.toReversed()
}
