// The files that CUDA needs, without loading any.
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"

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

/** Names of what is not here. */
export const missingForCuda = (): readonly string[] => {
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
