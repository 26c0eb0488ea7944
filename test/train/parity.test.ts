// Whole training runs against PyTorch, transformers' Trainer and PEFT: losses, gradient norms, rates, final weights.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Method } from "#src/adapters/options.ts"
import { openTensorFile, readTensor } from "#src/models/weights.ts"
import { loadModel } from "#src/models/load.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import { graphLearner } from "#src/runtime/GraphLearner.ts"
import { runTraining, type TrainerOptions } from "#src/runtime/Trainer.ts"
import { type Tuned, tune } from "#src/runtime/Tuning.ts"
import { driftOf, hasParity, json, parity, type ReferenceBatch, type ReferenceRow, shared, tensorsOf, toRows, toRun } from "./parity.ts"

let folder = ""
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "anneal-parity-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const constant: TrainerOptions = {
  learningRate: 1e-3,
  weightDecay: 0,
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  maxGradNorm: 1,
  schedule: "constant",
  warmupRatio: 0,
  warmupSteps: 0,
  saveTotalLimit: 1,
  loadBestModelAtEnd: false,
  earlyStoppingThreshold: 0,
  loggingSteps: 1
}

interface Run {
  readonly base: string
  readonly method: Method
  readonly options: TrainerOptions
  readonly steps: readonly (readonly ReferenceBatch[])[]
  readonly stepsPerEpoch?: number
  readonly validation?: readonly ReferenceRow[]
  /** Adapter tensors to begin with. */
  readonly start?: string
}

/** Runs the loop as the stage does, and tells each step's values, the start and the end. */
const train = async (run: Run) => {
  const { model, weights } = await loadModel(run.base)
  const { rows, order } = toRun(run.steps, run.stepsPerEpoch)
  const accumulates = run.steps.some((batches) => batches.length > 1)
  const tuned: Tuned = tune(model, weights, run.method, accumulates, 0)
  if (run.start !== undefined) {
    const start = openTensorFile(run.start)
    for (const { name, p } of tuned.store.trainables) {
      const tensor = start.get(name)
      if (tensor === undefined) throw new Error(`no ${name} in ${run.start}`)
      readTensor(tensor, p)
    }
  }
  const before = tuned.store.trainables.map(({ p }) => p.slice())
  const batchSize = Math.max(...run.steps.flat().map((batch) => batch.input_ids.length))
  const validation = run.validation && toRows(run.validation)
  const learner = graphLearner({ ...tuned, model, batchSize, threads: 1, rows, order, seed: 0, ...(validation && { validation }) })
  const values: Record<string, number | null>[] = []
  const { state } = await runTraining(run.options, order, learner, {
    checkpoints: new Checkpoints(mkdtempSync(join(folder, "run-")), () => undefined),
    emit: (event) => event._tag === "Metrics" && "loss" in event.values && values.push({ ...event.values }),
    stopRequested: () => false,
    keepBatch: () => "nowhere"
  })
  const lossOnFirst = async (): Promise<number> => {
    const [first] = order.group(0)
    const targets = (first ?? []).reduce((sum, row) => sum + (learner.sizes.targets[row] as number), 0)
    return (await learner.gradients(first ?? [], 1, 0, 0)) / targets
  }
  const afterwards = await lossOnFirst()
  await learner.release()
  return { values, state, before, trainables: tuned.store.trainables, afterwards }
}
type Ran = Awaited<ReturnType<typeof train>>

interface AdamTrace {
  readonly optimizer: { readonly lr: number; readonly weight_decay: number; readonly decay: readonly string[] }
  readonly steps: readonly { readonly loss: number; readonly grad_norm: number }[]
  readonly batches: readonly ReferenceBatch[]
  readonly loss_on_first_batch_after_last_step?: number
  readonly final_weights?: Readonly<Record<string, { readonly l2: number }>>
}

const expectSteps = ({ values }: Ran, steps: AdamTrace["steps"], lossBound: number): void => {
  expect(values.length).toBe(steps.length)
  steps.forEach((step, i) => {
    expect(Math.abs((values[i]?.["loss"] as number) - step.loss)).toBeLessThanOrEqual(lossBound)
    expect(Math.abs((values[i]?.["gradNorm"] as number) / step.grad_norm - 1)).toBeLessThanOrEqual(1e-4)
  })
}
const expectNorms = ({ trainables }: Ran, norms: Readonly<Record<string, { readonly l2: number }>>): void => {
  for (const { name, p } of trainables) {
    const l2 = Math.sqrt(p.reduce((sum, x) => sum + x * x, 0))
    expect(Math.abs(l2 / (norms[name]?.l2 as number) - 1), name).toBeLessThanOrEqual(1e-5)
  }
}
const expectEnd = ({ trainables, before }: Ran, path: string): void => {
  const end = tensorsOf(path)
  const theirs = trainables.map(({ name }) => end.get(name) as Float32Array)
  expect(
    driftOf(
      theirs,
      trainables.map(({ p }) => p),
      before
    )
  ).toBeLessThanOrEqual(1e-3)
}

const bases = { llama: parity("models/llama/hf"), stories260k: join(shared, "data/stories260k/hf") }

describe.skipIf(!hasParity)("ten AdamW steps", () => {
  test.each(["llama", "stories260k"] as const)("%s", async (name) => {
    const trace = json<AdamTrace>(parity(`traces/${name}/adamw10.json`))
    const options = { ...constant, learningRate: trace.optimizer.lr, weightDecay: trace.optimizer.weight_decay }
    const ran = await train({ base: bases[name], method: { type: "full" }, options, steps: trace.batches.map((batch) => [batch]) })
    expect(
      ran.trainables
        .filter(({ decay }) => decay)
        .map((t) => t.name)
        .toSorted()
    ).toEqual(trace.optimizer.decay.toSorted())
    expectSteps(ran, trace.steps, 1e-4)
    expectNorms(ran, trace.final_weights ?? {})
    expect(Math.abs(ran.afterwards - (trace.loss_on_first_batch_after_last_step as number))).toBeLessThanOrEqual(1e-4)
    if (name === "llama") expectEnd(ran, parity("traces/llama/adamw10.final.safetensors"))
  })
})

interface TrainerTrace {
  readonly args: {
    readonly learning_rate: number
    readonly weight_decay: number
    readonly warmup_steps: number
    readonly lr_scheduler_type: "cosine" | "linear"
  }
  readonly steps: readonly {
    readonly loss: number
    readonly grad_norm: number
    readonly lr: number
    readonly epoch: number
    readonly micro_batches: readonly ReferenceBatch[]
  }[]
  readonly total_optimizer_steps: number
  readonly warmup_steps_resolved: number
  readonly eval_rows: readonly ReferenceRow[]
  readonly eval_loss_token_weighted: number
  readonly final_weights: Readonly<Record<string, { readonly l2: number }>>
}

describe.skipIf(!hasParity)("transformers' Trainer: accumulation with an uneven last group, warmup, clipping, validation", () => {
  test.each(["llama", "stories260k"] as const)("%s", async (name) => {
    const trace = json<TrainerTrace>(parity(`traces/${name}/trainer.json`))
    const options: TrainerOptions = {
      ...constant,
      learningRate: trace.args.learning_rate,
      weightDecay: trace.args.weight_decay,
      schedule: trace.args.lr_scheduler_type,
      warmupSteps: trace.warmup_steps_resolved
    }
    const stepsPerEpoch = trace.steps.findIndex(({ epoch }) => epoch === 1) + 1
    const steps = trace.steps.map((step) => step.micro_batches)
    expect(new Set(steps.map((batches) => batches.length)).size).toBe(2)
    const ran = await train({ base: bases[name], method: { type: "full" }, options, steps, stepsPerEpoch, validation: trace.eval_rows })
    expectSteps(ran, trace.steps, 1e-4)
    trace.steps.forEach(({ lr }, i) => expect(ran.values[i]?.["learningRate"]).toBeCloseTo(lr, 12))
    expect(Math.abs((ran.state.validations.at(-1)?.loss as number) - trace.eval_loss_token_weighted)).toBeLessThanOrEqual(1e-4)
    expectNorms(ran, trace.final_weights)
  })
})

describe.skipIf(!hasParity)("PEFT LoRA, five AdamW steps", () => {
  const cases = { lora_qv: ["q_proj", "v_proj"], lora_all_linear: "all-linear" } as const
  test.each(Object.keys(cases) as (keyof typeof cases)[])("%s", async (name) => {
    const at = (file: string): string => parity(`adapters/llama/${name}/${file}`)
    const trace = json<AdamTrace>(at("trace.json"))
    const config = json<{ readonly r: number; readonly lora_alpha: number }>(at("adapter/adapter_config.json"))
    const method = { type: "lora", r: config.r, loraAlpha: config.lora_alpha, loraDropout: 0, targetModules: cases[name], seed: 0 } as const
    const options = { ...constant, learningRate: trace.optimizer.lr, weightDecay: trace.optimizer.weight_decay }
    const ran = await train({
      base: bases.llama,
      method,
      options,
      steps: trace.batches.map((batch) => [batch]),
      start: at("init.safetensors")
    })
    expectSteps(ran, trace.steps, 2e-5)
    expectEnd(ran, at("final.safetensors"))
  })
})
