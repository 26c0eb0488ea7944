// A Learner that makes several optimizer steps in one run, for devices that keep nothing between two runs.
import { batchNeeds } from "#src/batching/batch.ts"
import { type BatchShape, shapeOf } from "#src/batching/shapes.ts"
import { placesOf, positionsOf, stepShapes } from "./batchShapes.ts"
import { DeviceCopies } from "./DeviceCopies.ts"
import { type GraphLearner, graphLearner, type LearnerOptions } from "./GraphLearner.ts"
import { stateBytes, stepsFor } from "./heldBlocks.ts"
import { type LoopFigures, type LoopOptions, LoopRunner } from "./LoopRunner.ts"
import { optimizerStep } from "./optimizerStep.ts"
import { brokenOutcome, type StepOutcome, type StepPlan, sumOver } from "./step.ts"
import { requireGraphForm } from "./stateGraphs.ts"
import { noRegularization } from "./regularize.ts"

export type LoopLearnerOptions = LearnerOptions &
  Pick<LoopOptions, "store" | "optimizer" | "maxGradNorm" | "l2ToBase" | "scalesLoss" | "rates" | "stepsPerRun">

/** Bytes of weights and state beyond which they cost more on their way than padding does: a run ends where the next step has another shape. */
const mostSent = 2 ** 26

export const loopLearner = (options: LoopLearnerOptions): GraphLearner => {
  const { order, layout, regularization = noRegularization, gradientCheckpointing = false } = options
  requireGraphForm(options.optimizer, options.device ?? "cpu")
  const single = graphLearner(options)
  const { sizes } = single
  const copies = new DeviceCopies(options)
  const groups = Array.from({ length: order.totalSteps }, (_, step) => order.group(step))
  const micros = groups.reduce((most, group) => Math.max(most, group.length), 1)
  const needsOf = (group: StepPlan["group"]): BatchShape => {
    const needs = group.map((members) => batchNeeds(sizes, placesOf(sizes, members, layout)))
    const most = (of: keyof BatchShape): number => needs.reduce((largest, each) => Math.max(largest, each[of]), 0)
    return { length: most("length"), targets: most("targets") }
  }
  const positions = positionsOf(options.model, options.tuning)
  const shapes = stepShapes(groups.map(needsOf), positions, stateBytes(options.store) > mostSent ? 1 : undefined)
  const runners = new Map<BatchShape, Promise<LoopRunner>>()
  const create = async (shape: BatchShape): Promise<LoopRunner> => {
    const frozenFeeds = await copies.feeds(options.frozen)
    const rest = { layout, regularization, gradientCheckpointing, micros, frozenFeeds, sizes }
    return LoopRunner.create({ ...options, ...rest }, shape)
  }
  const runnerOf = (shape: BatchShape): Promise<LoopRunner> => {
    const found = runners.get(shape) ?? create(shape)
    runners.set(shape, found)
    return found
  }

  const run = async (plans: readonly StepPlan[]): Promise<readonly StepOutcome[]> => {
    const [first] = plans as [StepPlan]
    const isEmpty = ({ group }: StepPlan): boolean => sumOver(group, sizes.targets) === 0
    if (isEmpty(first)) return [await optimizerStep(first, single)]
    const shape = shapeOf(shapes, needsOf(first.group))
    const runner = await runnerOf(shape)
    const other = plans.findIndex((plan) => isEmpty(plan) || shapeOf(shapes, needsOf(plan.group)) !== shape)
    const made = plans.slice(0, Math.min(runner.steps, other < 0 ? plans.length : other))
    const outcomes = (await runner.run(made)).map((figures, at) => outcomeOf(made[at] as StepPlan, figures))
    const broken = outcomes.findIndex((outcome) => outcome.broken !== undefined)
    return broken < 0 ? outcomes : outcomes.slice(0, broken + 1)
  }
  const outcomeOf = (plan: StepPlan, { nll, norm, relativeUpdate }: LoopFigures): StepOutcome => {
    const { group, step, learningRate } = plan
    const [tokens, positions] = [sumOver(group, sizes.targets), sumOver(group, sizes.lengths)]
    const loss = nll / tokens
    if (Number.isFinite(loss) && Number.isFinite(norm))
      return { record: { loss, gradNorm: norm, learningRate, tokens, relativeUpdate }, positions }
    const what = Number.isFinite(loss) ? `the gradient norm of step ${step + 1} is ${norm}` : `the loss of step ${step + 1} is ${loss}`
    return brokenOutcome(plan, positions, { kind: "non-finite", what, members: group.flat() }, loss)
  }
  return {
    ...single,
    steps: { most: options.stepsPerRun ?? stepsFor(options.store), run },
    release: async () => {
      for (const runner of runners.values()) await (await runner).release()
      await copies.release()
      await single.release()
    }
  }
}
