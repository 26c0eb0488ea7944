// What `anneal doctor` says of devices: which there are, what the others lack, and that those there are compute what the CPU computes.
import { execFile } from "node:child_process"
import { join } from "node:path"
import { stageEnvironment } from "#src/engine/stageEnvironment.ts"
import type { Theme } from "#src/report/Theme.ts"
import { cudaEnvironment } from "#src/runtime/cudaEnvironment.ts"
import type { DeviceTrial } from "./deviceTrial.ts"
import { packageFolder } from "./package.ts"

export interface DeviceState {
  readonly device: string
  /** Whether a training can use it. */
  readonly usable: boolean
  readonly detail: string
  /** Files or parts that are not there. */
  readonly missing: readonly string[]
  readonly fix: string | null
}

/** Above this, a loss of about 2.4 is wrong, not rounded otherwise. */
const tolerance = 1e-4

const devices = ["cpu", "webgpu", "cuda"] as const

/** A device that is not there is no fault of the machine: it is told, and the exit code stays. */
export const deviceStates = (): Promise<readonly DeviceState[]> => Promise.all(devices.map(stateOf))

const stateOf = async (device: (typeof devices)[number]): Promise<DeviceState> => {
  const failed = (why: string): DeviceState => ({ device, usable: false, detail: `fails: ${why}`, missing: [], fix: update })
  const found = await triedAside(device)
  if (typeof found === "string") return failed(found)
  const { missing, fix, off, error } = found
  if (missing.length > 0) return { device, usable: false, detail: `missing: ${missing.join(", ")}`, missing, fix }
  if (off === null) return failed(error ?? "")
  const usable = off <= tolerance
  const detail = `trains${off === 0 ? "" : `, ${usable ? "" : "but its losses are wrong: "}${off.toExponential(1)} off the CPU's`}`
  return { device, usable, detail, missing, fix: usable ? null : update }
}

const update = "update the GPU's driver, or use another device"

/** What deviceTrial.ts says in a process of its own, or how that ended. What native libraries print there is of no use to anybody. */
const triedAside = (device: string): Promise<DeviceTrial | string> =>
  new Promise((done) => {
    const trial = join(packageFolder, "dist/device-trial.js")
    execFile(process.execPath, [trial, device], { env: stageEnvironment(device === "cuda" ? cudaEnvironment : {}) }, (error, stdout) => {
      if (error === null) return done(JSON.parse(stdout) as DeviceTrial)
      done(`its process ended ${error.signal ? `by ${error.signal}` : `with ${error.code}`}`)
    })
  })

export const deviceLine = (theme: Theme, { device, usable, detail, fix }: DeviceState): string => {
  const glyph = usable ? theme.paint("green", theme.glyph.done) : theme.paint("dim", theme.glyph.skipped)
  return `${glyph} ${device.padEnd(12)} ${detail}${fix === null ? "" : `\n  to use it: ${fix}`}`
}
