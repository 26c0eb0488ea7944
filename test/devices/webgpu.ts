// The WebGPU device of a machine without a GPU: Vulkan in software, as Debian's chromium package brings it.
import { existsSync } from "node:fs"
import { Graph } from "#src/graph/Graph.ts"
import { exp } from "#src/graph/ops/elementwise.ts"
import { openSession } from "#src/runtime/openSession.ts"

const software = "/usr/lib/chromium/vk_swiftshader_icd.json"
if (process.env["VK_ICD_FILENAMES"] === undefined && existsSync(software)) process.env["VK_ICD_FILENAMES"] = software

const graph = new Graph()
graph.output("y", exp(graph.input("x", "float32", [1])))

/** Whether there is one. The session stays open: with the last one the device and its compiled shaders would go. */
export const hasWebgpu = await openSession(graph, { threads: 1, device: "webgpu" }).then(
  () => true,
  () => false
)
if (!hasWebgpu) console.log("skipped: no WebGPU device; a software one comes with: apt-get install chromium libvulkan1")
