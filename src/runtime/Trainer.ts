// The training loop: micro-batches, clipping, AdamW, schedule, validation, early stopping, checkpoints. It knows nothing of
// graphs: a Learner computes losses and gradients. A step's result depends only on the weights, the options and the step's
// number, so a run that is killed anywhere and resumed ends in the same bytes.
import type { RowSizes } from "#src/batching/rows.ts"
import { InterruptedError, TrainingError } from "#src/domain/Errors.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import { clipFactor } from "#src/graph/optimizer.ts"
import { rateAt, type Schedule, warmupStepsOf } from "#src/graph/schedule.ts"
import type { Order } from "#src/batching/order.ts"
import type { Checkpoints } from "./Checkpoint.ts"
import { faultPoint } from "./faults.ts"
import type { ParamStore } from "./ParamStore.ts"
import { afterLog, afterStep, afterValidation, initialState, isValidated, type TrainState } from "./TrainState.ts"

/** The train stage's options that the loop reads; stages/train/stage.ts says what they mean. */
export interface TrainerOptions {
  readonly learningRate: number
  readonly weightDecay: number
  readonly adamBeta1: number
  readonly adamBeta2: number
  readonly adamEpsilon: number
  readonly maxGradNorm: number
  readonly schedule: Schedule["kind"]
  readonly warmupRatio: number
  readonly warmupSteps: number
  readonly evalSteps?: number
  readonly saveSteps?: number
  readonly saveTotalLimit: number
  readonly loadBestModelAtEnd: boolean
  readonly earlyStoppingPatience?: number
  readonly earlyStoppingThreshold: number
  readonly loggingSteps: number
  /** Default 0; above, the store must be an anchored one. */
  readonly l2ToBase?: number
}

/** Computes losses and gradients of rows, by their numbers. */
export interface Learner {
  readonly store: ParamStore
  readonly sizes: RowSizes
  /** Fills the store's gradients with those of `scale` x (sum of the batch's losses); returns that sum, unscaled, in nats. */
  readonly gradients: (members: readonly number[], scale: number, step: number) => Promise<number>
  /** The validation part, where there is one: its batches, and the sum of one batch's losses. */
  readonly validation?: {
    readonly sizes: RowSizes
    readonly batches: readonly (readonly number[])[]
    readonly loss: (members: readonly number[]) => Promise<number>
  }
}

export interface TrainerHost {
  readonly checkpoints: Checkpoints
  readonly emit: (event: StageEvent) => void
  readonly stopRequested: () => boolean
  /** Keeps a batch whose loss or gradient is not finite; returns the path of the file. */
  readonly keepBatch: (step: number, members: readonly number[]) => string
}

export interface Trained {
  readonly state: TrainState
  /** The step whose weights the store holds now. */
  readonly modelStep: number
}

/**
 * Trains until the last step or an early stop and leaves the result in the learner's store.
 * @throws InterruptedError after a requested stop (a checkpoint is saved), TrainingError where a loss or gradient is not finite
 */
export const runTraining = async (options: TrainerOptions, order: Order, learner: Learner, host: TrainerHost): Promise<Trained> => {
  const { store, validation } = learner
  const { checkpoints, emit } = host
  const schedule: Schedule = {
    kind: options.schedule,
    learningRate: options.learningRate,
    warmupSteps: warmupStepsOf(order.totalSteps, options.warmupSteps, options.warmupRatio),
    totalSteps: order.totalSteps
  }
  const usesBest = options.loadBestModelAtEnd && validation !== undefined
  const restored = checkpoints.restore(store.trainables, usesBest, (name, why) =>
    emit({ _tag: "Alert", kind: "damaged-checkpoint", step: null, detail: `${name} is skipped: ${why}` })
  )
  if (restored !== undefined) tellHistory(restored, emit)
  const meter = newMeter()
  let state = restored ?? initialState
  let savedStep = state.step

  const save = (): void => {
    if (savedStep === state.step) return
    const { name, bytes } = checkpoints.save(state, store.trainables)
    savedStep = state.step
    checkpoints.prune(options.saveTotalLimit, usesBest ? state.best?.step : undefined)
    emit({ _tag: "Saved", what: "checkpoint", name, digest: null, bytes })
  }
  const stop = (): never => {
    save()
    throw new InterruptedError({
      message:
        state.step === 0
          ? "stopped before the first step"
          : `stopped after step ${state.step} of ${order.totalSteps}; a checkpoint is saved`
    })
  }

  for (;;) {
    const due = isDue(state.step, options.evalSteps, order)
    if (validation !== undefined && due && !isValidated(state)) {
      const loss = await validationLoss(validation, host.stopRequested)
      if (loss === undefined) return stop()
      if (!Number.isFinite(loss)) throw diverged(host, state.step, `the validation loss is ${loss}`)
      state = afterValidation(state, loss, options.earlyStoppingThreshold)
      emit({ _tag: "Metrics", step: state.step, values: { validationLoss: loss }, nonFinite: [] })
      // Only a checkpoint can bring the best weights back.
      if (usesBest && state.best?.step === state.step) save()
    }
    if (options.saveSteps === undefined ? due : isDue(state.step, options.saveSteps, order)) save()
    if (state.step >= order.totalSteps || state.misses >= (options.earlyStoppingPatience ?? Infinity)) break
    if (host.stopRequested()) return stop()

    const rate = rateAt(schedule, state.step)
    const step = await optimizerStep(options, order, learner, host, state.step, rate)
    state = afterStep(state, step.loss, step.targets)
    meter.read(step.positions)
    if (state.step % options.loggingSteps === 0 || state.step === order.totalSteps) {
      const values = {
        loss: state.window.lossSum / state.window.steps,
        gradNorm: step.gradNorm,
        learningRate: rate,
        epoch: state.step / order.stepsPerEpoch
      }
      state = afterLog(state, values)
      emit({ _tag: "Progress", done: state.step, total: order.totalSteps, unit: "steps" })
      emit({ _tag: "Metrics", step: state.step, values: { ...values, tokensPerSecond: meter.speed() }, nonFinite: [] })
      meter.memory(emit)
    }
  }

  if (!usesBest || state.best === null || state.best.step === state.step) return { state, modelStep: state.step }
  checkpoints.restoreWeights(state.best.step, store.trainables)
  return { state, modelStep: state.best.step }
}

/** Every `every` steps, by default at the end of each epoch, and always at the end; never before the first step. */
const isDue = (step: number, every: number | undefined, order: Order): boolean =>
  step > 0 && (step % (every ?? order.stepsPerEpoch) === 0 || step === order.totalSteps)

interface StepResult {
  /** Mean over all trained tokens of the step, in nats. */
  readonly loss: number
  /** Before clipping. */
  readonly gradNorm: number
  readonly targets: number
  readonly positions: number
}

// Every micro-batch's gradient is scaled by 1 / N of the whole step, N = its trained tokens: the sum is token-exact.
const optimizerStep = async (
  options: TrainerOptions,
  order: Order,
  { store, sizes, gradients }: Learner,
  host: TrainerHost,
  step: number,
  rate: number
): Promise<StepResult> => {
  const group = order.group(step)
  const sum = (of: Int32Array): number => group.flat().reduce((total, row) => total + (of[row] as number), 0)
  const targets = sum(sizes.targets)
  let nll = 0
  for (const [micro, members] of group.entries()) {
    const loss = await gradients(members, 1 / targets, step)
    if (!Number.isFinite(loss)) throw diverged(host, step, `the loss of step ${step + 1} is ${loss}`, members)
    nll += loss
    store.accumulate(micro === 0)
    if (micro === 0) faultPoint("mid-accumulation")
  }
  if (options.l2ToBase !== undefined && options.l2ToBase > 0) store.pull(options.l2ToBase)
  const gradNorm = store.gradNorm()
  if (!Number.isFinite(gradNorm)) throw diverged(host, step, `the gradient norm of step ${step + 1} is ${gradNorm}`, group.flat())
  store.update(
    {
      learningRate: rate,
      beta1: options.adamBeta1,
      beta2: options.adamBeta2,
      epsilon: options.adamEpsilon,
      weightDecay: options.weightDecay
    },
    step + 1,
    clipFactor(gradNorm, options.maxGradNorm)
  )
  return { loss: nll / targets, gradNorm, targets, positions: sum(sizes.lengths) }
}

/** Mean negative log-likelihood over all trained tokens of the validation part; undefined where a stop is requested. */
const validationLoss = async (
  { sizes, batches, loss }: NonNullable<Learner["validation"]>,
  stopRequested: () => boolean
): Promise<number | undefined> => {
  let nll = 0
  for (const members of batches) {
    if (stopRequested()) return undefined
    nll += await loss(members)
    faultPoint("during-evaluation")
  }
  return nll / sizes.targets.reduce((total, n) => total + n, 0)
}

/** The error of a run whose numbers are no longer finite after `step` good steps; `members` are kept for a look at them. */
const diverged = (host: TrainerHost, step: number, what: string, members?: readonly number[]): TrainingError => {
  host.emit({ _tag: "Alert", kind: "non-finite", step, detail: what })
  return new TrainingError({
    message: what,
    where: members === undefined ? `after step ${step}` : `the batch is kept in ${host.keepBatch(step + 1, members)}`,
    why: "training has diverged, or the weights or rows hold numbers that are too large",
    hint: "lower learningRate, add warmupSteps, or look at the batch; the last checkpoint is intact"
  })
}

/** A resumed run's figures so far, so that its journal has the whole curve. */
const tellHistory = ({ step, log, validations }: TrainState, emit: TrainerHost["emit"]): void => {
  emit({ _tag: "Resumed", checkpoint: `step-${step}`, step })
  const losses = validations.map((point) => ({ step: point.step, values: { validationLoss: point.loss } }))
  for (const entry of [...log, ...losses].sort((a, b) => a.step - b.step)) emit({ _tag: "Metrics", ...entry, nonFinite: [] })
}

const memoryInterval = 5000

/** Positions read per second since the last log line, and the process's memory every few seconds. */
const newMeter = () => {
  let positions = 0
  let since = performance.now()
  let told = -Infinity
  return {
    memory: (emit: TrainerHost["emit"]): void => {
      if (performance.now() - told < memoryInterval) return
      told = performance.now()
      emit({ _tag: "Device", rss: process.memoryUsage.rss(), peakRss: process.resourceUsage().maxRSS * 1024 })
    },
    read: (n: number): void => {
      positions += n
    },
    speed: (): number => {
      const now = performance.now()
      const speed = (positions / Math.max(1, now - since)) * 1000
      positions = 0
      since = now
      return speed
    }
  }
}
