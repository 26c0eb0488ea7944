// How long stages will take, by what they took before (pure): the median of each one's last results in this pipeline.
import type { Estimate, PlannedStage } from "./RunEvent.ts"

/** What a result of a stage took. */
export interface PastTime {
  readonly stage: string
  readonly ms: number
}

/** Results of a stage that count: older ones were made under other settings, or on another machine. */
const newest = 5

const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** `past` is in order of time, the newest first. Undefined: the stage never made a result here. */
export const estimateOf = (past: readonly PastTime[], stage: string): Estimate | undefined => {
  const times = past.filter((time) => time.stage === stage).slice(0, newest)
  return times.length === 0 ? undefined : { seconds: median(times.map(({ ms }) => ms)) / 1000, runs: times.length }
}

export interface TotalEstimate extends Estimate {
  /** Stages that run, or may run, and were never made before: the total lacks them. */
  readonly without: readonly string[]
}

/** Of the longest chain of stages that need each other, since others run beside it. Undefined where no stage has an estimate. */
export const totalEstimate = (plan: readonly PlannedStage[]): TotalEstimate | undefined => {
  const coming = plan.filter(({ decision }) => decision !== "reuse")
  const known = coming.flatMap(({ estimate }) => estimate ?? [])
  if (known.length === 0) return undefined
  const ends = new Map<string, number>()
  for (const { id, needs, estimate } of coming) {
    ends.set(id, Math.max(0, ...needs.map((need) => ends.get(need) ?? 0)) + (estimate?.seconds ?? 0))
  }
  return {
    seconds: Math.max(...ends.values()),
    runs: Math.max(...known.map(({ runs }) => runs)),
    without: coming.filter(({ estimate }) => estimate === undefined).map(({ id }) => id)
  }
}
