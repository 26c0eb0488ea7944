// What `dtype` means on a device: the CPU and WebGPU hold frozen weights in it, CUDA also computes matrix products in it.
import { kindOf } from "../device.ts"
import type { TrainConfig } from "./stage.ts"

type Precision = Pick<TrainConfig, "dtype" | "device">

/** The type that matrix products are computed in. */
export const computesIn = ({ dtype, device }: Precision): TrainConfig["dtype"] => (kindOf(device) === "cuda" ? dtype : "float32")

/** Gradients vanish in float16; bfloat16 has the range of float32. */
export const scalesLoss = (config: Precision): boolean => computesIn(config) === "float16"
