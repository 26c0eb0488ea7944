// Runs a valid graph once in ONNX Runtime.
import { expect } from "vitest"
import type { Graph } from "#src/graph/Graph.ts"
import { encodeModel } from "#src/graph/onnx/encode.ts"
import type { TypedArray } from "#src/graph/Type.ts"
import { validate } from "#src/graph/validate.ts"
import { Session } from "#src/runtime/Session.ts"

/** All outputs of the graph, after a check of its invariants. */
export const runGraph = async (graph: Graph, feeds: Readonly<Record<string, TypedArray>>): Promise<Record<string, TypedArray>> => {
  expect(validate(graph)).toEqual([])
  const session = await Session.create(encodeModel(graph), { threads: 1 })
  try {
    return await session.run(
      feeds,
      graph.outputs.map((output) => output.name)
    )
  } finally {
    await session.release()
  }
}
