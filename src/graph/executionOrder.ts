// ONNX Runtime's own ordering (core/graph/graph_viewer.cc, ReverseDFSFrom), for forecasts of memory; a test checks it against a profile.
import { producersOf } from "./order.ts"
import type { Listed } from "./order.ts"

/** Indices of nodes in the order in which ONNX Runtime runs a model that lists them like this. */
export const executionOrder = (nodes: readonly Listed[]): readonly number[] => {
  const producers = producersOf(nodes)
  const read = new Set(producers.flat())
  const stack = nodes.flatMap((_, i) => (read.has(i) ? [] : [{ node: i, done: false }]))
  const entered = new Set<number>()
  const order: number[] = []
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { node, done } = top
    if (done) order.push(node)
    else if (!entered.has(node)) {
      entered.add(node)
      stack.push({ node, done: true })
      for (const from of producers[node]!.toSorted((a, b) => a - b)) stack.push({ node: from, done: false })
    }
  }
  return order
}
