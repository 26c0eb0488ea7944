// What a machine has of the devices that graphs are lowered for, and what it lacks, by the names of the files.
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { EnvironmentError } from "#src/domain/Errors.ts"
import { Graph } from "#src/graph/Graph.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { exp } from "#src/graph/ops/elementwise.ts"
import { openSession } from "./openSession.ts"

/** What ONNX Runtime's CUDA provider is linked with, as the CUDA 13 toolkit and cuDNN 9 bring it, and the driver. */
const cudaLibraries = [
  "libcuda.so.1",
  "libcudart.so.13",
  "libcublas.so.13",
  "libcublasLt.so.13",
  "libcudnn.so.9",
  "libcurand.so",
  "libcufft.so"
] as const

/** The provider itself, which is not part of the npm package. */
const providerFiles = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"] as const

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

const missingForCuda = (): readonly string[] => {
  const folder = join(
    dirname(createRequire(import.meta.url).resolve("onnxruntime-node/package.json")),
    "bin/napi-v6",
    process.platform,
    process.arch
  )
  const known = loaderLibraries()
  return [
    ...providerFiles.filter((file) => !existsSync(join(folder, file))),
    ...cudaLibraries.filter((name) => !known.some((file) => file === name || file.startsWith(`${name}.`)))
  ]
}

/** Names of the shared libraries that the loader finds. */
const loaderLibraries = (): readonly string[] => {
  const folders = (process.env["LD_LIBRARY_PATH"] ?? "").split(":").filter((folder) => folder !== "" && existsSync(folder))
  const cached = (): readonly string[] => {
    for (const command of ["ldconfig", "/sbin/ldconfig"]) {
      try {
        const text = execFileSync(command, ["-p"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
        return [...text.matchAll(/^\s+(\S+\.so\S*) /gm)].map((match) => match[1] as string)
      } catch {
        // Not on this system, or not on this path.
      }
    }
    return []
  }
  return [...folders.flatMap((folder) => readdirSync(folder)), ...cached()]
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
