// The steps of a training one by one, whether its learner makes them so or several in one run.
import type { Learner } from "./Learner.ts"
import { optimizerStep } from "./optimizerStep.ts"
import type { StepOutcome, StepPlan } from "./step.ts"

export interface StepRuns {
  readonly next: (step: number, made: number) => Promise<StepOutcome>
  /** The weights are those of a later step than the one that `next` told last. */
  readonly isAhead: () => boolean
}

/** `mustStop`: whether something is to be done with the weights as they are behind this many steps. */
export const stepRuns = (
  learner: Learner,
  planOf: (step: number, made: number) => StepPlan,
  mustStop: (step: number) => boolean
): StepRuns => {
  const { steps } = learner
  if (steps === undefined) return { next: (step, made) => optimizerStep(planOf(step, made), learner), isAhead: () => false }
  let ready: readonly StepOutcome[] = []
  return {
    next: async (step, made) => {
      if (ready.length === 0) {
        let count = 1
        while (count < steps.most && !mustStop(step + count)) count++
        // Should one break, those behind it are planned anew: it does not count for the schedule.
        ready = await steps.run(Array.from({ length: count }, (_, i) => planOf(step + i, made + i)))
      }
      const [first, ...rest] = ready as readonly [StepOutcome, ...StepOutcome[]]
      ready = rest
      return first
    },
    isAhead: () => ready.length > 0
  }
}
