// What is kept of a training besides its model: a row a step and the alerts, as the log output.
import type { LogRow } from "#src/domain/TrainingLog.ts"
import type { Trained } from "#src/runtime/Trainer.ts"
import { writeTrainingLog } from "#src/store/trainingLog.ts"

/** `batches` is the folder of the batches that alerts have kept. */
export const saveLog = (folder: string, { state, log }: Trained, batches: string): Promise<void> => {
  const validations = new Map(state.validations.map(({ step, loss }) => [step, loss]))
  const finite = (x: number): number | null => (Number.isFinite(x) ? x : null)
  const rows = Array.from({ length: log.length }, (_, i): LogRow => ({
    step: i + 1,
    loss: finite(log.get(i, "loss")),
    gradNorm: finite(log.get(i, "gradNorm")),
    learningRate: log.get(i, "learningRate"),
    tokens: log.get(i, "tokens"),
    relativeUpdate: finite(log.get(i, "relativeUpdate")),
    validationLoss: validations.get(i + 1) ?? null
  }))
  return writeTrainingLog(folder, { rows, alerts: state.alerts }, batches)
}
