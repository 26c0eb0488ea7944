// The option that names the device of a computation. Its kind belongs to the key, because it changes the last bits of numbers; which one
// of several it is does not.
import * as Schema from "effect/Schema"

const Numbered = Schema.String.check(Schema.isPattern(/^cuda:\d+$/))

export const Device = Schema.Union([Schema.Literals(["auto", "cpu", "webgpu", "cuda"]), Numbered, Schema.NonEmptyArray(Numbered)])
export type Device = typeof Device.Type

export type DeviceKind = "cpu" | "webgpu" | "cuda"

/** "auto" is the CPU: CUDA cannot train yet, and WebGPU, whose sums are in no fixed order on every GPU, is used only when it is named. */
export const kindOf = (device: Device): DeviceKind => {
  if (typeof device !== "string") return "cuda"
  if (device === "auto") return "cpu"
  return device === "cpu" || device === "webgpu" ? device : "cuda"
}
