// What is unusual about a training, said once when it begins. Advice only: functions of the log and the validations, which a
// checkpoint keeps, so a resumed run says the same.
import type { TrainingAlert } from "#src/domain/TrainingLog.ts"
import { zScore } from "#src/domain/zScore.ts"
import type { StepLog } from "./StepLog.ts"
import type { TrainState } from "./TrainState.ts"

const spikeWindow = 128
/** Fewer losses than this say little about what is usual. */
const spikeLeast = 32
const spikeDeviations = 4
const deadUpdate = 1e-9
const deadSteps = 20
const rises = 3

type Alert = Omit<TrainingAlert, "batch">

/** After a step that was made; `made` counts the steps made before it (a skipped one does not count). */
export const stepAlerts = (log: StepLog, made: number): readonly Alert[] => [...lossSpike(log), ...zeroRate(log, made), ...deadWeights(log)]

/** z of the loss of step `index` among those before it. */
const deviationOf = (log: StepLog, index: number): number | undefined => {
  const before = log.column("loss", Math.max(0, index - spikeWindow), index).filter(Number.isFinite)
  return zScore(before, log.get(index, "loss"), spikeLeast)
}

const lossSpike = (log: StepLog): readonly Alert[] => {
  const last = log.length - 1
  const z = deviationOf(log, last)
  if (z === undefined || Math.abs(z) <= spikeDeviations || Math.abs(deviationOf(log, last - 1) ?? 0) > spikeDeviations) return []
  const loss = log.get(last, "loss").toFixed(4)
  const where = `${Math.abs(z).toFixed(1)} standard deviations ${z > 0 ? "above" : "below"} those before it`
  return [{ kind: "loss-spike", step: log.length, detail: `the loss of step ${log.length}, ${loss}, lies ${where}` }]
}

/** A rate of 0 is usual at the first step of a warmup only. */
const zeroRate = (log: StepLog, made: number): readonly Alert[] => {
  const last = log.length - 1
  const isZero = (index: number, before: number): boolean => before > 0 && log.get(index, "learningRate") === 0
  if (!isZero(last, made)) return []
  const madeBefore = made - (Number.isNaN(log.get(last - 1, "relativeUpdate")) ? 0 : 1)
  if (isZero(last - 1, madeBefore)) return []
  return [{ kind: "dead-learning-rate", step: log.length, detail: `the learning rate of step ${log.length} is 0: nothing is learnt` }]
}

const deadWeights = (log: StepLog): readonly Alert[] => {
  const last = log.length - 1
  const isDead = (index: number): boolean => log.get(index, "relativeUpdate") < deadUpdate
  if (last + 1 < deadSteps || log.get(last, "learningRate") === 0) return []
  for (let i = 0; i < deadSteps; i++) if (!isDead(last - i)) return []
  if (last >= deadSteps && isDead(last - deadSteps)) return []
  const detail = `${deadSteps} steps in a row, up to step ${log.length}, changed the weights by less than ${deadUpdate} of their size`
  return [{ kind: "dead-learning-rate", step: log.length, detail: `${detail}: is the learning rate too small?` }]
}

/** After a validation. */
export const validationAlerts = (validations: TrainState["validations"]): readonly Alert[] => {
  const roseBefore = (back: number): boolean => {
    const [now, before] = [validations.at(-1 - back), validations.at(-2 - back)]
    return now !== undefined && before !== undefined && now.loss > before.loss
  }
  const newest = validations.at(-1)
  const inRow = Array.from({ length: rises }, (_, back) => back).every(roseBefore)
  if (newest === undefined || !inRow || roseBefore(rises)) return []
  const detail = `the validation loss has risen ${rises} times in a row, to ${newest.loss.toFixed(4)} at step ${newest.step}`
  return [{ kind: "overfitting", step: newest.step, detail: `${detail}: the model may be overfitting` }]
}
