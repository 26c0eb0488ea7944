// Learning-rate schedules as transformers defines them (optimization.py: get_*_schedule_with_warmup).

export interface Schedule {
  readonly kind: "linear" | "cosine" | "constant"
  /** Peak rate. */
  readonly learningRate: number
  readonly warmupSteps: number
  readonly totalSteps: number
}

/** Rate used by optimizer step `step` (0-based): rises linearly over the warmup, so that with one the first rate is 0. */
export const rateAt = ({ kind, learningRate, warmupSteps, totalSteps }: Schedule, step: number): number => {
  if (step < warmupSteps) return learningRate * (step / Math.max(1, warmupSteps))
  const left = Math.max(1, totalSteps - warmupSteps)
  switch (kind) {
    case "constant":
      return learningRate
    case "linear":
      return learningRate * Math.max(0, (totalSteps - step) / left)
    case "cosine":
      return learningRate * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((step - warmupSteps) / left))))
  }
}

/** Steps of warmup: `steps` where above 0, else the share `ratio` of the run rounded up. */
export const warmupStepsOf = (totalSteps: number, steps: number, ratio: number): number =>
  steps > 0 ? steps : Math.ceil(totalSteps * ratio)
