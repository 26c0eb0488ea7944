// One optimizer step: the gradients of its micro-batches, clipping, the update. A step whose numbers are not finite, or that has
// nothing to train, leaves everything as it was.
import { clipFactor } from "#src/graph/optimizer/clip.ts"
import { faultPoint } from "./faults.ts"
import type { Learner } from "./Learner.ts"
import { type Broken, brokenOutcome, type StepOutcome, type StepPlan, sumOver } from "./step.ts"

/** Every micro-batch's gradient is scaled by 1 / N of the whole step, N = its trained tokens: the sum is token-exact. */
export const optimizerStep = async (plan: StepPlan, learner: Learner): Promise<StepOutcome> => {
  const { step, group, made, learningRate, lossScale } = plan
  const { store, sizes } = learner
  const targets = sumOver(group, sizes.targets)
  const positions = sumOver(group, sizes.lengths)
  const broken = (kind: Broken["kind"], what: string, members: readonly number[], loss?: number): StepOutcome =>
    brokenOutcome(plan, positions, { kind, what, members }, loss)
  if (targets === 0) return broken("no-targets", `step ${step + 1} has no trained token`, group.flat())
  const scale = lossScale / targets
  await learner.begin?.(group, scale, step)
  let nll = 0
  for (const [micro, members] of group.entries()) {
    const loss = await learner.gradients(members, scale, step)
    if (!Number.isFinite(loss)) return broken("non-finite", `the loss of step ${step + 1} is ${loss}`, members)
    nll += loss
    await store.accumulate(micro === 0)
    if (micro === 0) faultPoint("mid-accumulation")
  }
  if (plan.l2ToBase !== undefined && plan.l2ToBase > 0) await store.pull(lossScale * plan.l2ToBase)
  const gradNorm = (await store.gradNorm()) / lossScale
  if (!Number.isFinite(gradNorm)) {
    const what = `the gradient norm of step ${step + 1} is ${gradNorm}`
    return broken("non-finite", what, group.flat(), nll / targets)
  }
  const relativeUpdate = await store.update(plan.rates(learningRate), made + 1, clipFactor(gradNorm, plan.maxGradNorm) / lossScale)
  return { record: { loss: nll / targets, gradNorm, learningRate, tokens: targets, relativeUpdate }, positions }
}
