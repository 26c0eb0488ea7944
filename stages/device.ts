// The option that names the device of a computation. Its kind belongs to the key, because it changes the last bits of numbers; which one
// of several it is does not.
import * as Schema from "effect/Schema"
import type { Settled } from "#src/domain/Pipeline.ts"
import { autoDevice } from "#src/runtime/autoDevice.ts"
import { cudaEnvironment } from "#src/runtime/cudaEnvironment.ts"

const Numbered = Schema.TemplateLiteral(["cuda:", Schema.Number]).check(Schema.isPattern(/^cuda:\d+$/))

export const Device = Schema.Union([Schema.Literals(["auto", "cpu", "webgpu", "cuda"]), Numbered, Schema.NonEmptyArray(Numbered)])
export type Device = typeof Device.Type
/** What the plan has settled. */
export type NamedDevice = Exclude<Device, "auto">

export type DeviceKind = "cpu" | "webgpu" | "cuda"

export const kindOf = (device: NamedDevice): DeviceKind => {
  if (typeof device !== "string") return "cuda"
  return device === "cpu" || device === "webgpu" ? device : "cuda"
}

/** What a process that computes on the device has from its start. */
export const environmentOf = (device: NamedDevice): Readonly<Record<string, string>> => (kindOf(device) === "cuda" ? cudaEnvironment : {})

/** Devices of one kind that share a computation: those of a list, else one. */
export const deviceCount = (device: NamedDevice): number => (typeof device === "string" ? 1 : device.length)

/** Which of several devices of its kind worker `worker` (from 0) computes on. */
export const deviceIdOf = (device: NamedDevice, worker = 0): number => {
  const own = typeof device === "string" ? device : device[worker % device.length]!
  return Number(own.split(":")[1] ?? 0)
}

/** The device of a config, and what of it the plan chose. `needsCpu`: no other device does what the rest of the config asks for. */
export const settleDevice = (
  { device }: { readonly device: Device },
  needsCpu = false
): { readonly device: NamedDevice; readonly values: Settled["values"] } => {
  if (device !== "auto") return { device, values: {} }
  const chosen = needsCpu ? "cpu" : autoDevice().device
  return { device: chosen, values: { device: chosen } }
}
