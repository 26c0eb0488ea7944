// The train stage: checks, trains with ONNX graphs of its own, writes the model folder.
import { isAbsolute, relative } from "node:path"
import type { ModelInfo } from "#src/domain/ModelInfo.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import type { StageContext } from "#src/domain/StageContext.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import { keepBatch } from "#src/runtime/keepBatch.ts"
import { completeModelFolder } from "#src/runtime/ModelFolder.ts"
import { runTraining, type Trained } from "#src/runtime/Trainer.ts"
import { madeSteps } from "#src/runtime/TrainState.ts"
import { kindOf } from "../device.ts"
import { saveLog } from "./log.ts"
import { scalesLoss } from "./precision.ts"
import { prepare, type TrainInputs } from "./prepare.ts"
import { saveResult } from "./result.ts"
import { executionOnly, type TrainConfig } from "./stage.ts"
import { threadsOf, totalThreads, workersOf } from "./share.ts"
import { startTeam } from "./workers.ts"

export const run = async (context: StageContext<TrainConfig>): Promise<StageResult> => {
  const { config, emit } = context
  const inputs = context.inputs as unknown as TrainInputs
  const workers = workersOf(config)
  const { model, tuned, under, table, part, order, learner, parameters } = await prepare(
    context,
    threadsOf(totalThreads(config, context.threads), workers)
  )
  const { rows, ids } = part
  const team = startTeam(context, learner, workers)
  const trained = await runTraining({ ...config, scalesLoss: scalesLoss(config) }, order, team.learner, {
    checkpoints: new Checkpoints(context.checkpointDir, context.verifyLease),
    emit,
    stopRequested: context.stopRequested,
    keepBatch: (step, members) => keepBatch(context.checkpointDir, step, ids, rows, members)
  }).finally(team.end)
  await learner.release()

  const metrics = finalMetrics(trained)
  const folder = context.output("model")
  const { digest, hub } = inputs.base
  const base: ModelInfo["base"] = { path: workspacePath(inputs.base.path), digest, ...(hub === undefined ? {} : { hub }) }
  await saveResult(folder, model, config.method, tuned.store, under, base)
  await saveLog(context.output("log"), trained, context.checkpointDir)
  const options = Object.entries(config).filter(([name]) => !executionOnly.some((each) => each === name))
  const kept = { ...Object.fromEntries(options), device: kindOf(config.device) }
  await completeModelFolder(folder, inputs.base.path, {
    version: 1,
    method: config.method.type,
    base,
    ...quantization(config),
    tokens: table.meta,
    config: kept as ModelInfo["config"],
    data: {
      train: inputs.train.digest,
      ...(inputs.validation === undefined ? {} : { validation: inputs.validation.digest }),
      ...(inputs.adapter === undefined ? {} : { adapter: inputs.adapter.digest })
    },
    parameters,
    steps: trained.state.step,
    modelStep: trained.modelStep,
    metrics
  })
  const { step, skipped } = trained.state
  return {
    rows: { log: step },
    metrics: { ...metrics, steps: step, trainableParameters: parameters.trainable, ...(skipped === 0 ? {} : { skippedSteps: skipped }) },
    summary: summaryOf(trained, metrics)
  }
}

/** How the base was held, where the method says so. */
const quantization = ({ method }: TrainConfig): Pick<ModelInfo, "quantization"> => {
  if (method.type !== "qlora") return {}
  const { quantType, doubleQuant, blockSize } = method
  return { quantization: { quantType, doubleQuant, blockSize } }
}

/** Mean loss over all steps that were made (transformers' train_loss), and the validation loss of the resulting weights, where they were validated. */
const finalMetrics = ({ state, modelStep }: Trained): Readonly<Record<string, number>> => {
  const validated = state.validations.find(({ step }) => step === modelStep)
  return { trainLoss: state.lossSum / madeSteps(state), ...(validated === undefined ? {} : { validationLoss: validated.loss }) }
}

const summaryOf = ({ state, modelStep }: Trained, metrics: Readonly<Record<string, number>>): string => {
  const validation = metrics["validationLoss"]
  const skipped = state.skipped === 0 ? "" : `${state.skipped} of them skipped, `
  const last = `${state.step} steps, ${skipped}mean loss ${(metrics["trainLoss"] as number).toFixed(4)}`
  return validation === undefined ? last : `${last}, validation loss ${validation.toFixed(4)} at step ${modelStep}`
}

/** Relative where it lies in the workspace (the current folder), so that a moved workspace gives the same bytes. */
const workspacePath = (path: string): string => {
  const inside = relative(process.cwd(), path)
  return inside.startsWith("..") || isAbsolute(inside) ? path : inside
}
