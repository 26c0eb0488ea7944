// What `anneal doctor` says of devices: which there are, what the others lack, and that those there are compute what the CPU computes.
import type { Theme } from "#src/report/Theme.ts"

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

/** A device that is not there is no fault of the machine: it is told, and the exit code stays. */
export const deviceStates = async (): Promise<readonly DeviceState[]> => {
  const [{ findDevice }, { trial }] = await Promise.all([import("#src/runtime/Device.ts"), import("#src/runtime/trial.ts")])
  const states: DeviceState[] = []
  for (const device of ["cpu", "webgpu", "cuda"] as const) {
    const { missing, fix } = await findDevice(device)
    if (missing.length > 0) states.push({ device, usable: false, detail: `missing: ${missing.join(", ")}`, missing, fix })
    else states.push({ device, ...(await tried(() => trial(device))), missing })
  }
  return states
}

const tried = async (trial: () => Promise<number>): Promise<Pick<DeviceState, "usable" | "detail" | "fix">> => {
  try {
    const off = await trial()
    const usable = off <= tolerance
    const detail = `trains${off === 0 ? "" : `, ${usable ? "" : "but its losses are wrong: "}${off.toExponential(1)} off the CPU's`}`
    return { usable, detail, fix: usable ? null : "update the GPU's driver, or use another device" }
  } catch (error) {
    const detail = `fails: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)}`
    return { usable: false, detail, fix: "update the GPU's driver, or use another device" }
  }
}

export const deviceLine = (theme: Theme, { device, usable, detail, fix }: DeviceState): string => {
  const glyph = usable ? theme.paint("green", theme.glyph.done) : theme.paint("dim", theme.glyph.skipped)
  return `${glyph} ${device.padEnd(12)} ${detail}${fix === null ? "" : `\n  to use it: ${fix}`}`
}
