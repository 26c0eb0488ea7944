// Runs a valid graph once in ONNX Runtime, on the device that the tests were started for.
import { expect } from "vitest"
import type { Graph } from "#src/graph/Graph.ts"
import type { TypedArray } from "#src/graph/Type.ts"
import { validate } from "#src/graph/validate.ts"
import { openSession } from "#src/runtime/openSession.ts"
import { device } from "../device.ts"

/** All outputs of the graph, after a check of its invariants. */
export const runGraph = async (graph: Graph, feeds: Readonly<Record<string, TypedArray>>): Promise<Record<string, TypedArray>> => {
  expect(validate(graph)).toEqual([])
  const session = await openSession(graph, { threads: 1, device })
  try {
    return await session.run(
      feeds,
      graph.outputs.map((output) => output.name)
    )
  } finally {
    await session.release()
  }
}
