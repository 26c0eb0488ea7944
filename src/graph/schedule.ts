// Learning-rate schedules as transformers defines them (optimization.py), with its option names in camelCase.

/** The names are those of transformers' lr_scheduler_type. */
export const scheduleKinds = [
  "linear",
  "cosine",
  "cosineWithRestarts",
  "cosineWithMinLr",
  "cosineWarmupWithMinLr",
  "polynomial",
  "constant",
  "constantWithWarmup",
  "inverseSqrt",
  "warmupStableDecay"
] as const
export type ScheduleKind = (typeof scheduleKinds)[number]

export const curves = ["linear", "cosine", "1-sqrt"] as const
export type Curve = (typeof curves)[number]

/** What some of the schedules take besides warmup; where nothing is given, transformers' defaults hold. */
export interface ScheduleOptions {
  /** Lowest rate, absolute or as a share of the peak: one of the two. */
  readonly minLr?: number
  readonly minLrRate?: number
  /** First rate of cosineWarmupWithMinLr as a share of the peak; default 1 / warmupSteps. */
  readonly warmupLrRate?: number
  /** Waves of the cosine, default 0.5; restarts of cosineWithRestarts, default 1. */
  readonly numCycles?: number
  /** Rate after the last step (default 1e-7) and exponent (default 1) of polynomial. */
  readonly lrEnd?: number
  readonly power?: number
  /** Default: warmupSteps, or 10000 without warmup. */
  readonly timescale?: number
  /** Default: what warmup and decay leave of the run. */
  readonly stableSteps?: number
  readonly decaySteps?: number
  /** Default linear. */
  readonly warmupType?: Curve
  /** Default cosine. */
  readonly decayType?: Curve
  /** Lowest rate of warmupStableDecay as a share of the peak; default 0. */
  readonly minLrRatio?: number
}

export interface Schedule extends ScheduleOptions {
  readonly kind: ScheduleKind
  /** Peak rate. */
  readonly learningRate: number
  readonly warmupSteps: number
  readonly totalSteps: number
}

/** Rate used by optimizer step `step` (0-based): most schedules rise linearly over the warmup, so that with one the first rate is 0. */
export const rateAt = (schedule: Schedule, step: number): number => schedule.learningRate * factorAt(schedule, step)

/** Steps of warmup: as given, else the share `warmupRatio` of the run rounded up, else none. */
export const warmupStepsOf = (totalSteps: number, o: { readonly warmupSteps?: number; readonly warmupRatio?: number }): number =>
  o.warmupSteps ?? Math.ceil(totalSteps * (o.warmupRatio ?? 0))

/** Share of the peak rate. */
const factorAt = (s: Schedule, step: number): number => {
  switch (s.kind) {
    case "constant":
      return 1
    case "cosineWarmupWithMinLr":
      return stepAhead(s, step)
    case "warmupStableDecay":
      return warmupStableDecay(s, step)
    default:
      return step < s.warmupSteps ? step / Math.max(1, s.warmupSteps) : afterWarmup(s, s.kind, step)
  }
}

type Warmed = Exclude<ScheduleKind, "constant" | "cosineWarmupWithMinLr" | "warmupStableDecay">

const afterWarmup = (s: Schedule, kind: Warmed, step: number): number => {
  const { learningRate: peak, warmupSteps, totalSteps } = s
  const left = Math.max(1, totalSteps - warmupSteps)
  const progress = (step - warmupSteps) / left
  switch (kind) {
    case "constantWithWarmup":
      return 1
    case "linear":
      return Math.max(0, (totalSteps - step) / left)
    case "cosine":
    case "cosineWithMinLr":
      return cosineTo(minRate(s), s, progress)
    case "cosineWithRestarts":
      return progress >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * (((s.numCycles ?? 1) * progress) % 1))))
    case "polynomial": {
      const end = s.lrEnd ?? 1e-7
      return step > totalSteps ? end / peak : ((peak - end) * (1 - progress) ** (s.power ?? 1) + end) / peak
    }
    case "inverseSqrt": {
      const timescale = s.timescale ?? (warmupSteps === 0 ? 10_000 : warmupSteps)
      return 1 / Math.sqrt((step + timescale - warmupSteps) / timescale)
    }
  }
}

const minRate = ({ minLr, minLrRate, learningRate }: Schedule): number => minLrRate ?? (minLr ?? 0) / learningRate

/** From 1 down to `low` over half a wave; with more waves it rises again. */
const cosineTo = (low: number, { numCycles = 0.5 }: Schedule, progress: number): number =>
  Math.max(0, 0.5 * (1 + Math.cos(Math.PI * numCycles * 2 * progress)) * (1 - low) + low)

/** transformers' cosine_warmup_with_min_lr counts one step further than the others: its first rate is not 0. */
const stepAhead = (s: Schedule, step: number): number => {
  const { warmupSteps, totalSteps, warmupLrRate } = s
  if (step >= warmupSteps) return cosineTo(minRate(s), s, (step - warmupSteps + 1) / Math.max(1, totalSteps - warmupSteps))
  if (warmupLrRate === undefined) return (step + 1) / Math.max(1, warmupSteps)
  return warmupLrRate + ((1 - warmupLrRate) * step) / Math.max(1, warmupSteps - 1)
}

const warmupStableDecay = (s: Schedule, step: number): number => {
  const { warmupSteps, totalSteps, decaySteps = 0, minLrRatio = 0, warmupType = "linear", decayType = "cosine", numCycles = 0.5 } = s
  const stableEnd = warmupSteps + (s.stableSteps ?? totalSteps - warmupSteps - decaySteps)
  const raised = (factor: number): number => Math.max(0, factor * (1 - minLrRatio) + minLrRatio)
  if (step < warmupSteps) return raised(rise(warmupType, step / Math.max(1, warmupSteps)))
  if (step < stableEnd) return 1
  if (step < stableEnd + decaySteps) return raised(fall(decayType, (step - stableEnd) / Math.max(1, decaySteps), numCycles))
  return minLrRatio
}

const rise = (curve: Curve, x: number): number => {
  if (curve === "linear") return x
  return curve === "cosine" ? 0.5 * (1 - Math.cos(Math.PI * x)) : 1 - Math.sqrt(1 - x)
}

const fall = (curve: Curve, x: number, numCycles: number): number => {
  if (curve === "linear") return 1 - x
  return curve === "cosine" ? 0.5 * (1 + Math.cos(Math.PI * numCycles * 2 * x)) : 1 - Math.sqrt(x)
}
