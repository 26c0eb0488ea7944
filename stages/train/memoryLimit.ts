// The memory that a training may take, and what to do where its forecast is above that: settings that would fit, each of them forecast.
import { totalmem } from "node:os"
import * as Schema from "effect/Schema"
import { lora, LoraMethod, type Method, qlora, QloraMethod } from "#src/adapters/options.ts"
import { bytes } from "#src/domain/bytes.ts"
import { DefinitionError, EnvironmentError, isAnnealError } from "#src/domain/Errors.ts"
import type { Forecast } from "#src/runtime/Forecast.ts"
import { forecastOf, type Subject } from "./forecast.ts"
import type { TrainConfig } from "./stage.ts"

const units: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40
}

/** "8GB" or a number of bytes. */
export const bytesOfLimit = (limit: string | number): number => {
  if (typeof limit === "number") return limit
  const [, number, unit] = /^([\d.]+) ?(\w+)$/.exec(limit) ?? []
  return Number(number) * (units[unit ?? ""] ?? Number.NaN)
}

/** What the machine has, or the control group that this process lies in may take. */
export const machineLimit = (): number => {
  const group = process.constrainedMemory()
  return group > 0 ? Math.min(group, totalmem()) : totalmem()
}

export interface Limit {
  readonly bytes: number
  /** Given by `memoryLimit`, not by the machine. */
  readonly own: boolean
}

export const limitOf = ({ memoryLimit }: Pick<TrainConfig, "memoryLimit">): Limit =>
  memoryLimit === undefined ? { bytes: machineLimit(), own: false } : { bytes: bytesOfLimit(memoryLimit), own: true }

export interface Setting {
  /** As it would be written in the pipeline file. */
  readonly text: string
  readonly total: number
}

const methodOf = (type: "lora" | "qlora"): Method =>
  type === "lora" ? Schema.decodeSync(LoraMethod)(lora()) : Schema.decodeSync(QloraMethod)(qlora())

type Change = Readonly<{ text: string; change: Partial<TrainConfig> }>

/** The same step in smaller micro-batches, the largest first. */
const smaller = ({ batchSize, gradientAccumulationSteps }: TrainConfig): readonly Change[] => {
  const found: Change[] = []
  for (let factor = 2; factor <= batchSize; factor *= 2) {
    if (batchSize % factor !== 0) continue
    const change = { batchSize: batchSize / factor, gradientAccumulationSteps: gradientAccumulationSteps * factor }
    const text = `batchSize: ${change.batchSize} with gradientAccumulationSteps: ${change.gradientAccumulationSteps}`
    found.push({ text, change })
  }
  return found
}

const both = (a: Change, b: Change): Change => ({ text: `${a.text}, ${b.text}`, change: { ...a.change, ...b.change } })

interface Group {
  /** The first that fits is named. */
  readonly changes: readonly Change[]
  /** Not where a gentler group fits. */
  readonly last?: true
}

/** Gentlest first: those that give the same result before those that train in another way. `fixed`: the method cannot be another one. */
const settingsOf = (config: TrainConfig, fixed: boolean): readonly Group[] => {
  const { method, workers, dtype } = config
  const checkpointing: readonly Change[] = config.gradientCheckpointing
    ? []
    : [{ text: "gradientCheckpointing: true", change: { gradientCheckpointing: true } }]
  const batches = smaller(config)
  const others = fixed || method.type === "qlora" ? [] : method.type === "full" ? (["lora", "qlora"] as const) : (["qlora"] as const)
  const byMethod = others.map((type): Group => {
    const other: Change = { text: `method: ${type}()`, change: { method: methodOf(type) } }
    const cheaper = checkpointing.map((each) => both(other, each))
    return { changes: [other, ...cheaper, ...batches.map((batch) => both(cheaper[0] ?? other, batch))] }
  })
  return [
    { changes: workers > 1 ? [{ text: "workers: 1", change: { workers: 1 } }] : [] },
    { changes: batches },
    { changes: checkpointing },
    { changes: checkpointing.flatMap((each) => batches.map((batch) => both(each, batch))), last: true },
    { changes: method.type === "full" || dtype !== "float32" ? [] : [{ text: 'dtype: "bfloat16"', change: { dtype: "bfloat16" } }] },
    ...byMethod
  ]
}

/** Settings that fit, at most three, each with its forecast. */
export const fittingSettings = (config: TrainConfig, subject: Subject, limit: number, fixed = false): readonly Setting[] => {
  const found: Setting[] = []
  for (const { changes, last = false } of settingsOf(config, fixed)) {
    if (last && found.length > 0) continue
    for (const { text, change } of changes) {
      const total = totalOf({ ...config, ...change }, subject)
      if (total === undefined || total > limit) continue
      found.push({ text, total })
      break
    }
    if (found.length === 3) break
  }
  return found
}

/** Undefined where the options do not go together with the model. */
const totalOf = (config: TrainConfig, subject: Subject): number | undefined => {
  try {
    return forecastOf(config, subject).total
  } catch (error) {
    if (isAnnealError(error)) return undefined
    throw error
  }
}

/** @throws DefinitionError where the forecast is above `memoryLimit`, EnvironmentError where it is above what the machine has */
export const checkMemory = (config: TrainConfig, subject: Subject, { total }: Forecast, fixed: boolean): void => {
  const { bytes: limit, own } = limitOf(config)
  if (total <= limit) return
  const settings = fittingSettings(config, subject, limit, fixed)
  const fields = {
    message: `the training would take about ${bytes(total)} of memory, ${own ? "memoryLimit is" : "this machine has"} ${bytes(limit)}`,
    where: own ? "train.memoryLimit" : "train",
    why: "forecast before any weight is read; the line before in the log says what takes it",
    hint: settingsLine(settings)
  }
  throw own ? new DefinitionError(fields) : new EnvironmentError(fields)
}

/** One line for people, of what `fittingSettings` found. */
export const settingsLine = (settings: readonly Setting[]): string => {
  if (settings.length === 0)
    return "none of the settings that were tried fits: shorten the rows (maxLength of the format stage), or use a smaller model"
  const listed = settings.map(({ text, total }) => `${text} -> ${bytes(total)}`).join("; ")
  return `${settings.length === 3 ? "would fit" : `only ${settings.length === 1 ? "this" : "these two"} would fit`}: ${listed}`
}

/** One line for people: the total, and all parts that matter in the total's unit. */
export const forecastLine = ({ total, ...parts }: Forecast): string => {
  const named = Object.entries(parts).filter(([, count]) => count >= total / 200)
  const part = (count: number): string => (total < 1e9 ? (count / 1e6).toFixed(0) : String(Number((count / 1e9).toFixed(2))))
  return `forecast: ${bytes(total)} (${named.map(([name, count]) => `${name} ${part(count)}`).join(", ")})`
}
