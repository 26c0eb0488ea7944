// Whole training runs against PyTorch, transformers' Trainer and PEFT: losses, gradient norms, rates, final weights.
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Method } from "#src/adapters/options.ts"
import { optimizerDefaults } from "#src/graph/optimizer.ts"
import { type AdapterConfig, parseAdapterConfig } from "#src/formats/adapterConfig.ts"
import { openTensorFile, readTensor } from "#src/models/weights.ts"
import { loadModel } from "#src/models/load.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import { deviceLearner } from "#src/runtime/deviceLearner.ts"
import { tensorRates } from "#src/runtime/rates.ts"
import { runTraining, type TrainerOptions } from "#src/runtime/Trainer.ts"
import { type Tuned, tune, tuningOf } from "#src/runtime/Tuning.ts"
import { ia3Method, loraMethod, prefixMethod, promptTuningMethod } from "../adapters/method.ts"
import { device } from "../device.ts"
import { casesOf, isKnown } from "../parity/cases.ts"
import { driftOf, hasParity, json, parity, type ReferenceBatch, type ReferenceRow, shared, tensorsOf, toRows, toRun } from "./parity.ts"

let folder = ""
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "anneal-parity-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const constant: TrainerOptions = {
  learningRate: 1e-3,
  weightDecay: 0,
  maxGradNorm: 1,
  schedule: "constant",
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
  const optimizer = optimizerDefaults.adamw
  const mapped = device !== "webgpu"
  const tuned: Tuned = tune(tuningOf(model, run.method, run.options.learningRate), weights, { accumulates, seed: 0, optimizer, mapped })
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
  const rates = tensorRates(run.options, tuned.store.trainables)
  const looped = { optimizer, maxGradNorm: run.options.maxGradNorm, l2ToBase: 0, scalesLoss: false, rates, stepsPerRun: 4, accumulates }
  const common = { ...tuned, device, model, batchSize, threads: 1, rows, order, seed: 0 }
  const learner = deviceLearner({ ...common, ...looped, ...(validation && { validation }) })
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
    return (await learner.gradients(first ?? [], 1, 0)) / targets
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

/** An adapter of the references as the method that trains it. */
const methodOf = (config: AdapterConfig): Method => {
  switch (config.peftType) {
    case "PREFIX_TUNING": {
      const { numVirtualTokens, encoderHiddenSize } = config
      return prefixMethod({ numVirtualTokens, ...(encoderHiddenSize === undefined ? {} : { projection: true, encoderHiddenSize }) })
    }
    case "PROMPT_TUNING":
      return promptTuningMethod({ numVirtualTokens: config.numVirtualTokens })
    default: {
      const { peftType, baseModel: _, fanInFanOut: __, ...options } = config as AdapterConfig & Record<string, unknown>
      return (peftType === "LORA" ? loraMethod(options as never) : ia3Method(options as never)) as Method
    }
  }
}

const adapters = casesOf(/^(lora|dora|rslora|ia3|prefix|prompt_tuning)/)

describe.skipIf(adapters.length === 0)("PEFT adapters, five AdamW steps", () => {
  test.each(adapters)("$base/$method", async ({ base, method }) => {
    const at = (file: string): string => parity("adapters", base, method, file)
    const trace = json<AdamTrace>(at("trace.json"))
    const config = parseAdapterConfig(readFileSync(at("adapter/adapter_config.json"), "utf8"), at("adapter"))
    const options = { ...constant, learningRate: trace.optimizer.lr, weightDecay: trace.optimizer.weight_decay }
    const ran = await train({
      base: parity("models", base, "hf"),
      method: methodOf(config),
      options,
      steps: trace.batches.map((batch) => [batch]),
      start: at("init.safetensors")
    })
    const decayed = ran.trainables.filter(({ decay }) => decay).map(({ name }) => name)
    expect(decayed.toSorted()).toEqual(trace.optimizer.decay.toSorted())
    expectSteps(ran, trace.steps, 2e-5)
    expectEnd(ran, at("final.safetensors"))
  })

  test.skipIf(!isKnown("llama"))("LoRA+, with the groups of create_loraplus_optimizer", async () => {
    const at = (file: string): string => parity("adapters/llama-untied/loraplus", file)
    const trace = json<LoraPlusTrace>(at("trace.json"))
    const rates = new Map(trace.param_groups.flatMap(({ params, lr }) => params.map((name) => [name, lr] as const)))
    const decay = trace.param_groups[0]!.weight_decay
    const method = loraMethod({
      r: trace.r,
      loraAlpha: trace.lora_alpha,
      targetModules: trace.target_modules,
      loraplusLrRatio: trace.loraplus_lr_ratio,
      loraplusLrEmbedding: rates.get("base_model.model.model.embed_tokens.lora_embedding_A")!
    })
    const ran = await train({
      base: parity("models/llama-untied/hf"),
      method,
      options: { ...constant, learningRate: trace.lr, weightDecay: decay, maxGradNorm: trace.max_grad_norm },
      steps: trace.batches.map((batch) => [batch]),
      start: at("init.safetensors")
    })
    for (const { name, learningRateScale = 1 } of ran.trainables)
      expect(learningRateScale * trace.lr, name).toBeCloseTo(rates.get(name)!, 12)
    expectSteps(ran, trace.steps, 2e-5)
    expectEnd(ran, at("final.safetensors"))
  })
})

interface LoraPlusTrace extends Pick<AdamTrace, "steps" | "batches"> {
  readonly r: number
  readonly lora_alpha: number
  readonly target_modules: readonly [string, ...string[]]
  readonly lr: number
  readonly loraplus_lr_ratio: number
  readonly max_grad_norm: number
  readonly param_groups: readonly { readonly lr: number; readonly weight_decay: number; readonly params: readonly string[] }[]
}
