// The training loop: steps, schedule, validation, early stopping, alerts, checkpoints. It knows nothing of graphs: a Learner
// computes losses and gradients. A step's result depends only on the weights, the options and the step's number, so a run that
// is killed anywhere and resumed ends in the same bytes.
import { basename } from "node:path"
import type { Order } from "#src/batching/order.ts"
import { bytes as inBytes } from "#src/domain/bytes.ts"
import { InterruptedError, TrainingError } from "#src/domain/Errors.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import type { TrainingAlert } from "#src/domain/TrainingLog.ts"
import { rateAt } from "#src/graph/schedule.ts"
import { stepAlerts, validationAlerts } from "./alerts.ts"
import type { Checkpoints } from "./Checkpoint.ts"
import { faultPoint } from "./faults.ts"
import type { Learner } from "./Learner.ts"
import type { Broken } from "./step.ts"
import { tensorRates } from "./rates.ts"
import { StepLog } from "./StepLog.ts"
import { stepRuns } from "./stepRuns.ts"
import { figuresAt, isReported, newMeter, newPace, tellHistory } from "./trainingFigures.ts"
import { scheduleOf, type TrainerOptions } from "./TrainerOptions.ts"
import { initialLossScale, scaleAhead } from "./lossScale.ts"
import {
  afterSkip,
  afterSmallerScale,
  afterStep,
  afterValidation,
  initialState,
  isValidated,
  madeSteps,
  type TrainState
} from "./TrainState.ts"

export type { TrainerOptions } from "./TrainerOptions.ts"

export interface TrainerHost {
  readonly checkpoints: Checkpoints
  readonly emit: (event: StageEvent) => void
  readonly stopRequested: () => boolean
  /** Keeps the rows of a step that is unusual or not finite; returns the path of the file. */
  readonly keepBatch: (step: number, members: readonly number[]) => string
}

export interface Trained {
  readonly state: TrainState
  /** The step whose weights the store holds now. */
  readonly modelStep: number
  readonly log: StepLog
}

const defaultMaxSkippedSteps = 10

/** Checkpoints that the disk should have room for: the next one, and as much again for the result. */
const checkpointsOfRoom = 2

/**
 * Trains until the last step or an early stop and leaves the result in the learner's store.
 * @throws InterruptedError after a requested stop (a checkpoint is saved), TrainingError where a loss or gradient is not finite
 * (with onNonFinite "skip": in too many steps in a row)
 */
export const runTraining = async (options: TrainerOptions, order: Order, learner: Learner, host: TrainerHost): Promise<Trained> => {
  const { store, validation } = learner
  const { checkpoints, emit } = host
  const schedule = scheduleOf(options, order.totalSteps)
  const rates = tensorRates(options, store.trainables)
  const figures = { ...options, ...order }
  const usesBest = options.loadBestModelAtEnd && validation !== undefined
  const log = new StepLog()
  const restored = checkpoints.restore(store.trainables, log, usesBest, (name, why) =>
    emit({ _tag: "Alert", kind: "damaged-checkpoint", step: null, detail: `${name} is skipped: ${why}` })
  )
  if (restored !== undefined) tellHistory(restored, log, figures, emit)
  await store.toDevice()
  const meter = newMeter()
  const pace = newPace(order.totalSteps, emit)
  let state = restored ?? { ...initialState, ...(options.scalesLoss === true ? { lossScale: initialLossScale } : {}) }
  let savedStep = state.step
  let isLow = false

  const save = async (): Promise<void> => {
    if (savedStep === state.step) return
    await store.toHost()
    const { name, bytes } = checkpoints.save(state, store.trainables, log)
    savedStep = state.step
    checkpoints.prune(options.saveTotalLimit, usesBest ? state.best?.step : undefined)
    emit({ _tag: "Saved", what: "checkpoint", name, digest: null, bytes })
    const room = checkpoints.room()
    if (room >= checkpointsOfRoom * bytes || isLow) return
    isLow = true
    const detail = `the disk has ${inBytes(room)} left, and a checkpoint takes ${inBytes(bytes)}: free some space, or the training may have to stop`
    emit({ _tag: "Alert", kind: "low-disk", step: state.step, detail })
  }
  const stop = async (): Promise<never> => {
    await save()
    throw new InterruptedError({
      message:
        state.step === 0
          ? "stopped before the first step"
          : `stopped after step ${state.step} of ${order.totalSteps}; a checkpoint is saved`
    })
  }
  /** Says it and keeps it; `members` are the rows of a batch to look at. Returns where these are kept. */
  const raise = (alert: Omit<TrainingAlert, "batch">, members?: readonly number[]): string => {
    const path = members === undefined ? "" : host.keepBatch(alert.step, members)
    const kept = members === undefined ? alert : { ...alert, detail: `${alert.detail}; kept: ${basename(path)}`, batch: basename(path) }
    state = { ...state, alerts: [...state.alerts, kept] }
    emit({ _tag: "Alert", ...kept })
    return path
  }
  const skip = ({ kind, what, members }: Broken): void => {
    const smaller = kind === "non-finite" ? afterSmallerScale(state) : undefined
    if (smaller !== undefined) {
      state = smaller
      return emit({ _tag: "Log", level: "info", text: `${what}: the step is skipped, the loss scale is ${smaller.lossScale?.scale} now` })
    }
    state = afterSkip(state)
    const isFatal = kind === "non-finite" && options.onNonFinite !== "skip"
    const path = raise({ kind, step: state.step, detail: isFatal ? what : `${what}: the step is skipped` }, members)
    if (isFatal) throw diverged(what, `the batch is kept in ${path}`)
    const inRow = state.skippedInRow
    if (inRow >= (options.maxSkippedSteps ?? defaultMaxSkippedSteps))
      throw diverged(`${inRow} steps in a row were skipped, the last because ${what}`, `the last batch is kept in ${path}`)
  }

  const { evalSteps, saveSteps } = options
  const runs = stepRuns(
    learner,
    (step, made) => {
      const lossScale = scaleAhead(state.lossScale, step - state.step)
      return { ...options, step, group: order.group(step), made, learningRate: rateAt(schedule, made), rates, lossScale }
    },
    (step) => isDue(step, evalSteps, order) || (saveSteps !== undefined && isDue(step, saveSteps, order))
  )
  for (;;) {
    const due = isDue(state.step, evalSteps, order)
    if (validation !== undefined && due && !isValidated(state)) {
      const loss = await validationLoss(validation, host.stopRequested)
      if (loss === undefined) return stop()
      if (!Number.isFinite(loss)) {
        raise({ kind: "non-finite", step: state.step, detail: `the validation loss is ${loss}` })
        throw diverged(`the validation loss is ${loss}`, `after step ${state.step}`)
      }
      state = afterValidation(state, loss, options.earlyStoppingThreshold)
      emit({ _tag: "Metrics", step: state.step, values: { validationLoss: loss }, nonFinite: [] })
      for (const alert of validationAlerts(state.validations)) raise(alert)
      // Only a checkpoint can bring the best weights back.
      if (usesBest && state.best?.step === state.step) await save()
    }
    if (saveSteps === undefined ? due : isDue(state.step, saveSteps, order)) await save()
    if (state.step >= order.totalSteps || state.misses >= (options.earlyStoppingPatience ?? Infinity)) break
    if (!runs.isAhead() && host.stopRequested()) return stop()

    const made = madeSteps(state)
    const { record, positions, broken } = await runs.next(state.step, made)
    log.push(record)
    meter.read(positions)
    pace(state.step + 1)
    if (broken === undefined) {
      state = afterStep(state, record.loss, record.tokens)
      for (const alert of stepAlerts(log, made)) raise(alert, alert.kind === "loss-spike" ? order.group(state.step - 1).flat() : undefined)
    } else skip(broken)
    if (isReported(state.step, figures)) {
      const { values, nonFinite } = figuresAt(log, state.step, figures)
      emit({ _tag: "Progress", done: state.step, total: order.totalSteps, unit: "steps" })
      const scale = state.lossScale && { lossScale: state.lossScale.scale }
      emit({ _tag: "Metrics", step: state.step, values: { ...values, ...scale, tokensPerSecond: meter.speed() }, nonFinite })
      meter.memory(emit, learner.memoryElsewhere?.())
    }
  }

  if (madeSteps(state) === 0) throw diverged(`all ${state.step} steps were skipped`, "no step changed the weights")
  await store.toHost()
  if (!usesBest || state.best === null || state.best.step === state.step) return { state, modelStep: state.step, log }
  checkpoints.restoreWeights(state.best.step, store.trainables)
  return { state, modelStep: state.best.step, log }
}

/** Every `every` steps, by default at the end of each epoch, and always at the end; never before the first step. */
const isDue = (step: number, every: number | undefined, order: Order): boolean =>
  step > 0 && (step % (every ?? order.stepsPerEpoch) === 0 || step === order.totalSteps)

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

/** The error of a run whose numbers are no longer finite. */
const diverged = (message: string, where: string): TrainingError =>
  new TrainingError({
    message,
    where,
    why: "training has diverged, or the weights or rows hold numbers that are too large",
    hint: "lower learningRate, add warmupSteps, or look at the batch; the last checkpoint is intact"
  })
