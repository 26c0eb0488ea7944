// The tables of kernels against the providers themselves. Other methods: test/soak/gpuOptions.test.ts.
import { expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import { identity } from "#src/graph/ops/elementwise.ts"
import { openSession } from "#src/runtime/openSession.ts"
import { misplaced } from "./misplaced.ts"
import { onEachGpu } from "./gpus.ts"

onEachGpu((device) => {
  test("runs what the table says", async () => {
    expect(await misplaced("mistral", "full", device)).toEqual([])
  })
})

test("a graph with a node that the device has no kernel for is refused by its name", async () => {
  const graph = new Graph()
  graph.output("y", identity(graph.input("x", "uint8", [4])))
  await expect((async () => openSession(graph, { threads: 1, device: "webgpu" }))()).rejects.toMatchObject({
    _tag: "BugError",
    message: "webgpu has no kernel for Identity of uint8",
    where: expect.stringContaining("Identity_0") as string
  })
})
