// A short training on a device, and its comparison with the same training on the CPU: losses, gradient norms, final weights.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect } from "vitest"
import type { Method } from "#src/adapters/options.ts"
import { packedRows } from "#src/batching/arrange.ts"
import { trainingOrder } from "#src/batching/order.ts"
import { rowSizes } from "#src/batching/rows.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { type Optimizer, optimizerDefaults } from "#src/graph/optimizer.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import { deviceLearner } from "#src/runtime/deviceLearner.ts"
import { loopLearner } from "#src/runtime/loopLearner.ts"
import { tensorRates } from "#src/runtime/rates.ts"
import { noRegularization } from "#src/runtime/regularize.ts"
import { runTraining, type TrainerOptions } from "#src/runtime/Trainer.ts"
import { baseOf, tune, tuningOf } from "#src/runtime/Tuning.ts"
import { driftOf } from "../train/parity.ts"
import { tokensTable } from "../train/workspace.ts"
import { ownModel } from "./cases.ts"
import type { Gpu } from "./gpus.ts"

const folder = mkdtempSync(join(tmpdir(), "anneal-devices-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const options: TrainerOptions = {
  learningRate: 1e-3,
  weightDecay: 0.1,
  maxGradNorm: 0.5,
  schedule: "linear",
  saveTotalLimit: 2,
  loadBestModelAtEnd: false,
  earlyStoppingThreshold: 0,
  loggingSteps: 1
}

/** Gradients that are 0 but for rounding (biases of keys) would move by the learning rate with AdamW's usual epsilon, 1e-8. */
const adamw: Optimizer = { ...optimizerDefaults.adamw, epsilon: 1e-6 }

export interface Run {
  readonly family: string
  readonly method: Method
  readonly device: Target
  /** So many steps in one run; on the CPU, where it is given, as CUDA makes them. Default on CUDA: 4. */
  readonly stepsPerRun?: number
  readonly steps?: number
  readonly accumulation?: number
  readonly l2ToBase?: number
  readonly optimizer?: Optimizer
  readonly dropout?: boolean
  /** Rows that begin alike, packed behind one copy of it. */
  readonly packed?: boolean
  /** The type of matrix products; with float16 the loss is scaled. */
  readonly products?: "float16"
  readonly validated?: boolean
  /** Of checkpoints: a run with the same one goes on from them. */
  readonly name?: string
  readonly stopAt?: number
}

let runs = 0

/** Where `stopAt` is given, a stop is asked for after so many steps. */
export const train = async ({
  family,
  method,
  device,
  stepsPerRun,
  steps = 6,
  accumulation = 1,
  l2ToBase = 0,
  optimizer = adamw,
  dropout = false,
  packed = false,
  products,
  validated = false,
  name,
  stopAt
}: Run) => {
  const { model, weights } = await ownModel(family)
  const table = tokensTable(8, 3, packed ? [5, 19, 2, 2, 7] : [])
  const rows = { ...table, tokens: table.tokens.map((token) => token % model.vocabSize) }
  const { lengths, commonPrefix } = rowSizes(rows)
  const layout = packed ? { length: 64, commonPrefix } : undefined
  const order = trainingOrder({
    ...{ rows: 8, batchSize: 2, gradientAccumulationSteps: accumulation, epochs: 1, maxSteps: steps, seed: 1 },
    ...(layout === undefined ? {} : { arrangement: packedRows(lengths, layout, 1) })
  })
  const tuned = tune(tuningOf(model, method, 1e-3), baseOf(model, weights, method), {
    accumulates: accumulation > 1,
    anchored: l2ToBase > 0,
    seed: 1,
    optimizer,
    mapped: device !== "webgpu"
  })
  const before = tuned.store.trainables.map(({ p }) => p.slice())
  const trainer = { ...options, l2ToBase, scalesLoss: products === "float16" }
  const common = {
    ...tuned,
    device,
    ...(products === undefined ? {} : { products }),
    model,
    batchSize: 2,
    threads: 1,
    rows,
    ...(validated ? { validation: rows } : {}),
    order,
    layout,
    seed: 0,
    regularization: dropout ? { ...noRegularization, residualDropout: 0.2 } : noRegularization
  }
  const rates = tensorRates(trainer, tuned.store.trainables)
  const looped = { ...common, ...trainer, optimizer, rates, stepsPerRun: stepsPerRun ?? 4, accumulates: accumulation > 1 }
  const learner = device === "cpu" && stepsPerRun !== undefined ? loopLearner(looped) : deviceLearner(looped)
  const values: { readonly loss: number; readonly gradNorm: number }[] = []
  const validations: number[] = []
  try {
    await runTraining(trainer, order, learner, {
      checkpoints: new Checkpoints(join(folder, name ?? `run-${runs++}`), () => undefined),
      emit: (event) => {
        if (event._tag !== "Metrics") return
        if ("validationLoss" in event.values) validations.push(event.values["validationLoss"] as number)
        else values.push({ loss: event.values["loss"] as number, gradNorm: event.values["gradNorm"] as number })
      },
      stopRequested: () => stopAt !== undefined && values.length >= stopAt,
      keepBatch: () => "nowhere"
    })
  } catch (error) {
    if (stopAt === undefined) throw error
  }
  await learner.release()
  return { values, validations, before, after: tuned.store.trainables.map(({ p, state }) => ({ p, state: state.map(({ data }) => data) })) }
}

/** Over a run on a GPU and one on the CPU. */
export const compare = async (device: Gpu, run: Omit<Run, "device">): Promise<void> => {
  const [cpu, gpu] = [await train({ ...run, device: "cpu" }), await train({ ...run, device })]
  expect(gpu.values.length).toBe(run.steps ?? 6)
  for (const [i, { loss, gradNorm }] of cpu.values.entries()) {
    expect(Math.abs(gpu.values[i]!.loss - loss)).toBeLessThan(2e-5)
    expect(Math.abs(gpu.values[i]!.gradNorm / gradNorm - 1)).toBeLessThan(1e-3)
  }
  for (const [i, loss] of cpu.validations.entries()) expect(Math.abs(gpu.validations[i]! - loss)).toBeLessThan(2e-5)
  const weights = ({ after }: typeof cpu) => after.map(({ p }) => p)
  expect(driftOf(weights(cpu), weights(gpu), cpu.before)).toBeLessThan(5e-3)
}
