// The device that the parity tests compute on: the CPU, or the one that ANNEAL_TEST_DEVICE names.
import type { Target } from "#src/graph/onnx/Lowering.ts"

export const device = (process.env["ANNEAL_TEST_DEVICE"] ?? "cpu") as Target
