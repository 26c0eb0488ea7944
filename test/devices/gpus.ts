// The GPUs of this machine, and what is tested on each. Where it has none, WebGPU may run in software: Vulkan as Debian's chromium package brings it.
import { existsSync } from "node:fs"
import { describe, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import { exp } from "#src/graph/ops/elementwise.ts"
import { findDevice } from "#src/runtime/Device.ts"
import { openSession } from "#src/runtime/openSession.ts"

export type Gpu = "webgpu" | "cuda"

const software = "/usr/lib/chromium/vk_swiftshader_icd.json"
if (process.env["VK_ICD_FILENAMES"] === undefined && existsSync(software)) process.env["VK_ICD_FILENAMES"] = software

const graph = new Graph()
graph.output("y", exp(graph.input("x", "float32", [1])))

/** Looked for before it is opened: the runtime's own message is a page. The session stays open: with the last one a device of WebGPU and its shaders would go. */
const isThere = async (device: Gpu): Promise<boolean> => {
  if ((await findDevice(device)).missing.length > 0) return false
  await openSession(graph, { threads: 1, device })
  return true
}

const [webgpu, cuda] = [await isThere("webgpu"), await isThere("cuda")]
const gpus: readonly Gpu[] = [...(webgpu ? (["webgpu"] as const) : []), ...(cuda ? (["cuda"] as const) : [])]

/** A group of tests for each GPU of the machine; a kind that is not here is a skipped test, which says so. */
export const onEachGpu = (tests: (device: Gpu) => void): void => {
  for (const device of gpus) describe(device, () => tests(device))
  if (!webgpu) test.skip("WebGPU: no device here; one in software comes with: apt-get install chromium libvulkan1", () => undefined)
  if (!cuda) test.skip("CUDA: no device here", () => undefined)
}

export const hasCuda = cuda
