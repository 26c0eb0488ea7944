// Where the nodes of a train graph really run on a GPU, from a profile, against what the table of its kernels says.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { placement } from "#src/graph/onnx/placement.ts"
import { Session } from "#src/runtime/Session.ts"
import { graphCase, methods } from "./cases.ts"
import type { Gpu } from "./gpus.ts"

interface ProfileEvent {
  readonly cat: string
  readonly name: string
  readonly args?: { readonly provider?: string }
}

const providerOf = { webgpu: "WebGpuExecutionProvider", cuda: "CUDAExecutionProvider" } as const

/** Node name to the provider that ran it. */
const profiled = async (family: string, method: string, device: Gpu) => {
  const { graph, feeds, outputs } = await graphCase(family, methods[method]!, { packed: true })
  const model = lower(graph, device)
  const folder = mkdtempSync(join(tmpdir(), "anneal-profile-"))
  const session = await Session.create(encode(model), { threads: 1, device, profile: join(folder, "p") })
  await session.run(feeds, outputs)
  await session.release()
  const events = JSON.parse(readFileSync(join(folder, readdirSync(folder)[0]!), "utf8")) as readonly ProfileEvent[]
  rmSync(folder, { recursive: true })
  const ran = events.filter(({ cat, name }) => cat === "Node" && name.endsWith("_kernel_time"))
  return {
    placed: placement(model, device),
    providers: new Map(ran.map(({ name, args }) => [name.slice(0, -"_kernel_time".length), args?.provider ?? ""]))
  }
}

/** Nodes that ran elsewhere than the table says, each kind once. */
export const misplaced = async (family: string, method: string, device: Gpu): Promise<readonly string[]> => {
  const { placed, providers } = await profiled(family, method, device)
  const wrong = placed.flatMap(({ node, type, place }) => {
    // The provider's own pass over layouts takes some transposes out.
    if (node.opType === "Transpose" && !providers.has(node.name)) return []
    const onDevice = providers.get(node.name) === providerOf[device]
    return onDevice === (place === "device") ? [] : [`${node.opType} of ${type}: ${place}, but ran on ${providers.get(node.name)}`]
  })
  return [...new Set(wrong)]
}
