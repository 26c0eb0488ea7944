// Everything of a training up to its first step: checks, weights, data order, graphs. The same in the stage's process and in each of its
// replicas, so that an item's number says the same to all.
import { trainingOrder } from "#src/batching/order.ts"
import { rowSizes } from "#src/batching/rows.ts"
import type { InputArtifact, StageContext } from "#src/domain/StageContext.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { loadConfig, loadModel } from "#src/models/load.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { requireDevice } from "#src/runtime/Device.ts"
import { deviceLearner } from "#src/runtime/deviceLearner.ts"
import { heldAs } from "#src/runtime/halves.ts"
import { tensorRates } from "#src/runtime/rates.ts"
import { optimizerOf } from "#src/runtime/TrainerOptions.ts"
import { baseOf, seedOf, tune, tuningOf } from "#src/runtime/Tuning.ts"
import { readTokens } from "#src/store/tokens.ts"
import { deviceIdOf, kindOf } from "../device.ts"
import { checkRoom, dropoutNotes, lengthWarnings } from "./fit.ts"
import { forecastOf } from "./forecast.ts"
import { countParameters, frozenLine, parameterLine } from "./parameters.ts"
import { beginFromText, tokensOfInit } from "./fromText.ts"
import { checkMemory, forecastLine } from "./memoryLimit.ts"
import { rowsOf } from "./planned.ts"
import { arrange, checkedPart, checkGroups, checkOptions, layoutOf } from "./preflight.ts"
import { computesIn, scalesLoss } from "./precision.ts"
import { workersOf } from "./share.ts"
import type { TrainConfig } from "./stage.ts"
import { startFrom } from "./start.ts"

export interface TrainInputs {
  readonly train: InputArtifact
  readonly base: InputArtifact
  readonly validation?: InputArtifact
  readonly adapter?: InputArtifact
}

type Context = Pick<StageContext<TrainConfig>, "config" | "inputs" | "emit" | "workDir">

/** `worker`: which of those that share the training; the first, the stage's own process, checks the memory for all. */
export const prepare = async (context: Context, threads: number, worker = 0) => {
  const { config, emit } = context
  const inputs = context.inputs as unknown as TrainInputs
  const say = (text: string, level: "info" | "warning" = "info"): void => emit({ _tag: "Log", level, text })

  checkOptions(config, inputs.validation !== undefined)
  const device = kindOf(config.device)
  await requireDevice(device, "train.device")
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
  const sizes = rowSizes(part.rows)
  const longest = sizes.lengths.reduce((most, length) => Math.max(most, length), 0)
  for (const warning of lengthWarnings(model, longest)) say(warning, "warning")
  for (const note of dropoutNotes(model, config)) say(note)
  if (device === "cpu" && worker === 0) {
    const read = config.initialWeights === "base" ? { weights } : {}
    const subject = { model, ...read, rows: rowsOf(part, validation) }
    const forecast = forecastOf(config, subject)
    say(forecastLine(forecast))
    checkMemory(config, subject, forecast, start !== undefined)
  }
  const under = start?.overBase(weights) ?? weights
  const [accumulates, optimizer] = [config.gradientAccumulationSteps > 1, optimizerOf(config)]
  const held = heldAs(config.dtype, tuning.frozen, baseOf(model, under, config.method), context.workDir)
  if (config.dtype !== "float32") say(precisionLine(config, tuning.frozen.length > 0))
  const tuned = tune(tuning, held, {
    mapped: device !== "webgpu",
    ...(device === "cpu" ? { threads } : {}),
    accumulates,
    anchored: config.l2ToBase > 0,
    seed: seedOf(config.method, config.seed),
    optimizer,
    ...(start === undefined ? {} : { start: start.weights })
  })
  if (initTokens !== undefined) await beginFromText(model, tuned, initTokens, threads)
  const parameters = countParameters(tuned)
  say(parameterLine(parameters))
  const memory = frozenLine(tuned.frozen)
  if (memory !== undefined) say(memory)

  const { rows, ids } = part
  const layout = layoutOf(config, ids, sizes, tuning.adapter)
  if (layout !== undefined && layout.commonPrefix > 0)
    say(`all rows begin with the same ${layout.commonPrefix} tokens: each packed row has them once, for all of its documents`)
  const order = trainingOrder({ ...config, rows: ids.length, arrangement: arrange(config, sizes, layout) })
  const common = {
    ...tuned,
    device,
    deviceId: deviceIdOf(config.device, worker),
    ...(computesIn(config) === "float32" ? {} : { products: config.dtype }),
    model,
    batchSize: config.batchSize,
    threads,
    seed: config.seed,
    rows,
    order,
    regularization: config,
    gradientCheckpointing: config.gradientCheckpointing,
    layout,
    ...(validation === undefined ? {} : { validation: validation.rows })
  }
  const { maxGradNorm, l2ToBase, stepsPerRun } = config
  const rates = tensorRates(config, tuned.store.trainables)
  const shared = workersOf(config) > 1
  const learner = deviceLearner({
    ...common,
    optimizer,
    maxGradNorm,
    l2ToBase,
    scalesLoss: scalesLoss(config),
    rates,
    stepsPerRun,
    accumulates,
    shared
  })
  return { model, under, tuned, table, part, layout, order, learner, parameters }
}

const precisionLine = (config: TrainConfig, hasFrozen: boolean): string => {
  const { dtype } = config
  if (computesIn(config) !== "float32")
    return `${dtype}: matrix products are computed in it${hasFrozen ? ", and frozen weights are held in it" : ""}; all else, trained weights and the optimizer's state are float32`
  return hasFrozen
    ? `${dtype}: this is how frozen weights are held; the computation, trained weights and the optimizer's state are float32`
    : `${dtype} changes nothing here: every weight is trained, and trained weights are float32`
}

/** The model and the weights that training starts from. */
const loadStart = async (folder: string, config: TrainConfig): Promise<{ readonly model: Model; readonly weights: Weights }> => {
  if (config.initialWeights === "base") return loadModel(folder)
  const model = await loadConfig(folder)
  return { model, weights: initialWeights(model, config.seed) }
}
