// What a machine has of the devices that graphs are lowered for, and what it lacks, by the names of the files.
import { EnvironmentError } from "#src/domain/Errors.ts"
import { Graph } from "#src/graph/Graph.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { exp } from "#src/graph/ops/elementwise.ts"
import { missingForCuda } from "./cudaFiles.ts"
import { openSession } from "./openSession.ts"

export interface DeviceReport {
  readonly device: Target
  /** Empty where the device can be used; else the missing libraries, or what the runtime says. */
  readonly missing: readonly string[]
  /** What to do about it; null where nothing is missing. */
  readonly fix: string | null
}

/** Looks for a device: opens one for WebGPU, looks for the libraries of CUDA. */
export const findDevice = async (device: Target): Promise<DeviceReport> => {
  if (device === "cpu") return { device, missing: [], fix: null }
  const missing = device === "cuda" ? missingForCuda() : await missingForWebgpu()
  return { device, missing, fix: missing.length === 0 ? null : fixes[device] }
}

const fixes: { readonly [T in "cuda" | "webgpu"]: string } = {
  cuda: "install the NVIDIA driver, CUDA 13 and cuDNN 9, and fetch the provider: node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12 (its name notwithstanding, it is built for CUDA 13); libraries elsewhere are found through LD_LIBRARY_PATH",
  webgpu: "install the GPU's driver (on Linux with Vulkan: libvulkan1 and the vendor's ICD); check with: vulkaninfo --summary"
}

const missingForWebgpu = async (): Promise<readonly string[]> => {
  const graph = new Graph()
  graph.output("y", exp(graph.input("x", "float32", [1])))
  try {
    await (await openSession(graph, { threads: 1, device: "webgpu" })).release()
    return []
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return [/Failed to get a WebGPU adapter/.test(message) ? "a GPU that WebGPU can use" : message]
  }
}

/** @throws EnvironmentError where the machine lacks the device */
export const requireDevice = async (device: Target, where: string): Promise<void> => {
  const { missing, fix } = await findDevice(device)
  if (missing.length > 0) {
    throw new EnvironmentError({
      message: `${device} is not available here`,
      where,
      why: `missing: ${missing.join(", ")}`,
      hint: `${fix ?? ""}; or use device: "cpu"`
    })
  }
}
