// What device: "auto" means on a machine. Asked for by every plan, so it loads no runtime.
import { existsSync } from "node:fs"
import { missingForCuda } from "./cudaFiles.ts"

export interface AutoDevice {
  readonly device: "cpu" | "cuda"
  /** For people: what decided. */
  readonly why: string
}

/** Made by NVIDIA's driver: on Linux, and in the Linux of Windows. */
const driverFiles = ["/dev/nvidiactl", "/dev/dxg"] as const

/** CUDA where its files and a driver are here. Never WebGPU: an adapter may be a GPU in software, which is slower than the CPU. */
export const autoDevice = (env: NodeJS.ProcessEnv = process.env): AutoDevice => {
  const hidden = env["CUDA_VISIBLE_DEVICES"]
  if (hidden === "" || hidden === "-1") return { device: "cpu", why: "CUDA_VISIBLE_DEVICES hides every GPU" }
  if (!driverFiles.some((file) => existsSync(file))) return { device: "cpu", why: "no NVIDIA driver is loaded here" }
  const missing = missingForCuda()
  if (missing.length > 0) return { device: "cpu", why: `CUDA lacks ${missing.join(", ")}` }
  return { device: "cuda", why: "the driver and all that CUDA needs are here" }
}
