// A process of its own that looks for a device and trains on it: `node device-trial.js <device>` prints what it found as JSON. The libraries of a
// GPU may end their process, and print what they like.
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { type DeviceReport, findDevice } from "#src/runtime/Device.ts"
import { trial } from "#src/runtime/trial.ts"

export interface DeviceTrial extends DeviceReport {
  /** Largest distance of a loss from the CPU's; null where it was not tried, or failed. */
  readonly off: number | null
  /** What the trial failed with. */
  readonly error: string | null
}

const device = process.argv[2] as Target
const report = await findDevice(device)
const tried = async (): Promise<Pick<DeviceTrial, "off" | "error">> => {
  if (report.missing.length > 0) return { off: null, error: null }
  try {
    return { off: await trial(device), error: null }
  } catch (error) {
    return { off: null, error: error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error) }
  }
}
process.stdout.write(JSON.stringify({ ...report, ...(await tried()) } satisfies DeviceTrial))
