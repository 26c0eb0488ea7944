// The train stage's options that the loop reads (stages/train/stage.ts says what they mean), and what they choose.
import { type Optimizer, optimizerDefaults, type OptimizerKind } from "#src/graph/optimizer.ts"
import { type Schedule, type ScheduleKind, type ScheduleOptions, warmupStepsOf } from "#src/graph/schedule.ts"
import type { RateOptions } from "./rates.ts"

export { type OptimizerKind, optimizerKinds } from "#src/graph/optimizer.ts"
export { curves, type ScheduleKind, scheduleKinds } from "#src/graph/schedule.ts"

export interface TrainerOptions extends RateOptions, ScheduleOptions {
  readonly maxGradNorm: number
  readonly schedule: ScheduleKind
  /** At most one of the two. */
  readonly warmupRatio?: number
  readonly warmupSteps?: number
  readonly evalSteps?: number
  readonly saveSteps?: number
  readonly saveTotalLimit: number
  readonly loadBestModelAtEnd: boolean
  readonly earlyStoppingPatience?: number
  readonly earlyStoppingThreshold: number
  readonly loggingSteps: number
  /** Default 0; above, the store must be an anchored one. */
  readonly l2ToBase?: number
  /** Whether losses are scaled (lossScale.ts). Default false. */
  readonly scalesLoss?: boolean
  /** Default "fail". */
  readonly onNonFinite?: "fail" | "skip"
  /** Skipped steps in a row that fail; default 10. */
  readonly maxSkippedSteps?: number
}

/** Each option belongs to one optimizer; where it is absent, the optimizer's default holds. */
export interface OptimizerOptions {
  readonly optimizer: OptimizerKind
  readonly adamBeta1?: number
  readonly adamBeta2?: number
  readonly adamEpsilon?: number
  readonly lionBeta1?: number
  readonly lionBeta2?: number
  readonly momentum?: number
  readonly decayRate?: number
  readonly clipThreshold?: number
  readonly adafactorEpsilon?: readonly [number, number]
  readonly scaleParameter?: boolean
}

export const optimizerOf = (o: OptimizerOptions): Optimizer => {
  switch (o.optimizer) {
    case "adamw": {
      const { beta1, beta2, epsilon } = optimizerDefaults.adamw
      return { kind: "adamw", beta1: o.adamBeta1 ?? beta1, beta2: o.adamBeta2 ?? beta2, epsilon: o.adamEpsilon ?? epsilon }
    }
    case "lion": {
      const { beta1, beta2 } = optimizerDefaults.lion
      return { kind: "lion", beta1: o.lionBeta1 ?? beta1, beta2: o.lionBeta2 ?? beta2 }
    }
    case "sgd":
      return { kind: "sgd", momentum: o.momentum ?? optimizerDefaults.sgd.momentum }
    case "adafactor": {
      const { decayRate, clipThreshold, epsilon, scaleParameter } = optimizerDefaults.adafactor
      return {
        kind: "adafactor",
        decayRate: o.decayRate ?? decayRate,
        clipThreshold: o.clipThreshold ?? clipThreshold,
        epsilon: o.adafactorEpsilon ?? epsilon,
        scaleParameter: o.scaleParameter ?? scaleParameter
      }
    }
  }
}

export const scheduleOf = (options: TrainerOptions, totalSteps: number): Schedule => ({
  ...options,
  kind: options.schedule,
  warmupSteps: warmupStepsOf(totalSteps, options),
  totalSteps
})
