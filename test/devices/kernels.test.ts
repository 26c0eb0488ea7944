// The table of WebGPU's kernels against the provider itself: a profile says where each node of a train graph ran.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { placement } from "#src/graph/onnx/placement.ts"
import { openSession } from "#src/runtime/openSession.ts"
import { Graph } from "#src/graph/Graph.ts"
import { identity } from "#src/graph/ops/elementwise.ts"
import { Session } from "#src/runtime/Session.ts"
import { graphCase, methods } from "./cases.ts"
import { hasWebgpu } from "./webgpu.ts"

interface ProfileEvent {
  readonly cat: string
  readonly name: string
  readonly args?: { readonly provider?: string }
}

/** Node name to the provider that ran it. */
const profiled = async (family: string, method: string) => {
  const { graph, feeds, outputs } = await graphCase(family, methods[method]!, { packed: true })
  const model = lower(graph, "webgpu")
  const folder = mkdtempSync(join(tmpdir(), "anneal-profile-"))
  const session = await Session.create(encode(model), { threads: 1, device: "webgpu", profile: join(folder, "p") })
  await session.run(feeds, outputs)
  await session.release()
  const events = JSON.parse(readFileSync(join(folder, readdirSync(folder)[0]!), "utf8")) as readonly ProfileEvent[]
  rmSync(folder, { recursive: true })
  const ran = events.filter(({ cat, name }) => cat === "Node" && name.endsWith("_kernel_time"))
  return {
    placed: placement(model, "webgpu"),
    providers: new Map(ran.map(({ name, args }) => [name.slice(0, -"_kernel_time".length), args?.provider ?? ""]))
  }
}

describe.skipIf(!hasWebgpu)("WebGPU runs what the table says", () => {
  test.each([
    ["mistral", "full"],
    ["untied", "qlora"]
  ])("%s, %s", async (family, method) => {
    const { placed, providers } = await profiled(family, method)
    const wrong = placed.flatMap(({ node, type, place }) => {
      const onDevice = providers.get(node.name) === "WebGpuExecutionProvider"
      return onDevice === (place === "device") ? [] : [`${node.opType} of ${type}: ${place}, but ran on ${providers.get(node.name)}`]
    })
    expect([...new Set(wrong)]).toEqual([])
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
