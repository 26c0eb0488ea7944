// The train stage: checks, trains with ONNX graphs of its own, writes the model folder.
import { isAbsolute, relative } from "node:path"
import { trainingOrder } from "#src/batching/order.ts"
import { rowSizes } from "#src/batching/rows.ts"
import { baseName, type ModelInfo } from "#src/domain/ModelInfo.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import type { InputArtifact, StageContext } from "#src/domain/StageContext.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { loadConfig, loadModel } from "#src/models/load.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import { graphLearner } from "#src/runtime/GraphLearner.ts"
import { keepBatch } from "#src/runtime/keepBatch.ts"
import { completeModelFolder } from "#src/runtime/ModelFolder.ts"
import { runTraining, type Trained } from "#src/runtime/Trainer.ts"
import { optimizerOf } from "#src/runtime/TrainerOptions.ts"
import { madeSteps } from "#src/runtime/TrainState.ts"
import { baseOf, seedOf, tune, tuningOf } from "#src/runtime/Tuning.ts"
import { readTokens } from "#src/store/tokens.ts"
import { checkRoom, dropoutNotes, lengthWarnings } from "./fit.ts"
import { beginFromText, tokensOfInit } from "./fromText.ts"
import { saveLog } from "./log.ts"
import { countParameters, frozenLine, parameterLine } from "./parameters.ts"
import { arrange, checkedPart, checkGroups, checkOptions, packLengthOf } from "./preflight.ts"
import { saveResult } from "./result.ts"
import { executionOnly, type TrainConfig } from "./stage.ts"
import { startFrom } from "./start.ts"

export const run = async (context: StageContext<TrainConfig>): Promise<StageResult> => {
  const { config, emit } = context
  const inputs = context.inputs as Readonly<Record<"train" | "base", InputArtifact>> &
    Partial<Record<"validation" | "adapter", InputArtifact>>
  const say = (text: string, level: "info" | "warning" = "info"): void => emit({ _tag: "Log", level, text })

  checkOptions(config, inputs.validation !== undefined)
  const { model, weights } = await loadStart(inputs.base.path, config)
  const tuning = tuningOf(model, config.method, config.learningRate)
  checkGroups(config, tuning.trainables)
  const start = inputs.adapter && (await startFrom(inputs.adapter, inputs.base, model, config))
  const initTokens = start === undefined ? await tokensOfInit(config.method, tuning.adapter, inputs.base.path) : undefined
  const table = await readTokens(inputs.train.path)
  const validationTable = inputs.validation && (await readTokens(inputs.validation.path))
  checkRoom(model, tuning.adapter?.numVirtualTokens ?? 0, Math.max(table.meta.maxLength, validationTable?.meta.maxLength ?? 0))
  const part = checkedPart("train", table, model.vocabSize)
  const validation = validationTable && checkedPart("validation", validationTable, model.vocabSize)
  if (part.leftOut > 0) say(`${part.leftOut} rows have no trained token and are left out`, "warning")
  const longest = rowSizes(part.rows).lengths.reduce((most, length) => Math.max(most, length), 0)
  for (const warning of lengthWarnings(model, longest)) say(warning, "warning")
  for (const note of dropoutNotes(model, config)) say(note)
  const under = start?.overBase(weights) ?? weights
  const tuned = tune(tuning, baseOf(model, under, config.method), {
    accumulates: config.gradientAccumulationSteps > 1,
    anchored: config.l2ToBase > 0,
    seed: seedOf(config.method, config.seed),
    optimizer: optimizerOf(config),
    ...(start === undefined ? {} : { start: start.weights })
  })
  if (initTokens !== undefined) await beginFromText(model, tuned, initTokens, context.threads)
  const parameters = countParameters(tuned)
  say(parameterLine(parameters))
  const memory = frozenLine(tuned.frozen)
  if (memory !== undefined) say(memory)

  const { rows, ids } = part
  const packLength = config.packing ? packLengthOf(config, part) : undefined
  const order = trainingOrder({ ...config, rows: ids.length, arrangement: arrange(config, rows, packLength) })
  const learner = graphLearner({
    ...tuned,
    model,
    batchSize: config.batchSize,
    threads: context.threads,
    seed: config.seed,
    rows,
    order,
    regularization: config,
    gradientCheckpointing: config.gradientCheckpointing,
    ...(packLength === undefined ? {} : { packLength }),
    ...(validation === undefined ? {} : { validation: validation.rows })
  })
  const trained = await runTraining(config, order, learner, {
    checkpoints: new Checkpoints(context.checkpointDir, context.verifyLease),
    emit,
    stopRequested: context.stopRequested,
    keepBatch: (step, members) => keepBatch(context.checkpointDir, step, ids, rows, members)
  })
  await learner.release()

  const metrics = finalMetrics(trained)
  const folder = context.output("model")
  const { digest, hub } = inputs.base
  const base: ModelInfo["base"] = { path: workspacePath(inputs.base.path), digest, ...(hub === undefined ? {} : { hub }) }
  await saveResult(folder, model, config.method, tuned.store, under, baseName(base))
  await saveLog(context.output("log"), trained, context.checkpointDir)
  const kept = Object.fromEntries(Object.entries(config).filter(([name]) => !executionOnly.some((each) => each === name)))
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
    metrics: { ...metrics, steps: step, ...(skipped === 0 ? {} : { skippedSteps: skipped }) },
    summary: summaryOf(trained, metrics)
  }
}

/** The model and the weights that training starts from. */
const loadStart = async (folder: string, config: TrainConfig): Promise<{ readonly model: Model; readonly weights: Weights }> => {
  if (config.initialWeights === "base") return loadModel(folder)
  const model = await loadConfig(folder)
  return { model, weights: initialWeights(model, config.seed) }
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
