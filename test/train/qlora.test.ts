// Training over a base in 4 bits: bitsandbytes' own runs step by step, memory, resuming, and the model that comes out.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import * as Schema from "effect/Schema"
import { QloraMethod, type Method } from "#src/adapters/options.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import type { QuantOptions } from "#src/formats/bitsandbytes/quantized.ts"
import { loadAdapter } from "#src/adapters/peft.ts"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { modelOf } from "#src/models/families.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { loadModel } from "#src/models/load.ts"
import { dequantisedWeights } from "#src/models/quantized.ts"
import { openTensorFile, readTensor } from "#src/models/weights.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import { freeze } from "#src/runtime/Frozen.ts"
import { graphLearner } from "#src/runtime/GraphLearner.ts"
import { readModelInfo } from "#src/runtime/ModelFolder.ts"
import { openMerged, openModel } from "#src/runtime/RunnableModel.ts"
import { scoreRows } from "#src/runtime/Scorer.ts"
import { runTraining } from "#src/runtime/Trainer.ts"
import { baseOf, tune, tuningOf } from "#src/runtime/Tuning.ts"
import { driftOf, hasParity, json, parity, type ReferenceBatch, tensorsOf, toRun } from "./parity.ts"
import { makeWorkspace, runChild, runHere, taskIn, tokensTable, weightsDigest, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeAll(async () => {
  workspace = await makeWorkspace()
})
afterAll(() => workspace.clear())

const qlora = (options: Omit<typeof QloraMethod.Encoded, "type"> = {}): typeof QloraMethod.Type =>
  Schema.decodeUnknownSync(QloraMethod)({ type: "qlora", ...options })

interface Golden {
  readonly r: number
  readonly lora_alpha: number
  readonly trace: {
    readonly lr: number
    readonly steps: readonly { readonly loss: number; readonly grad_norm: number }[]
    readonly batches: readonly ReferenceBatch[]
  }
}

describe.skipIf(!hasParity)("five AdamW steps over a base in 4 bits", () => {
  const cases = {
    nf4_dq: { quantType: "nf4", doubleQuant: true, blockSize: 64 },
    nf4: { quantType: "nf4", doubleQuant: false, blockSize: 64 },
    fp4: { quantType: "fp4", doubleQuant: false, blockSize: 64 }
  } as const satisfies Readonly<Record<string, QuantOptions>>
  const runs = (Object.keys(cases) as (keyof typeof cases)[]).flatMap((name) =>
    (["as bitsandbytes saved it", "quantised here"] as const).map((base) => [name, base] as const)
  )
  test.each(runs)("%s, %s", async (name, from) => {
    const at = (file: string): string => parity(`nf4/qlora/${name}/${file}`)
    const { r, lora_alpha, trace } = json<Golden>(at("golden.json"))
    const method: Method = qlora({ ...cases[name], r, loraAlpha: lora_alpha, targetModules: "all-linear" })
    const { model, weights } = await loadModel(from === "quantised here" ? parity("models/llama-q/hf") : at("hf-4bit"))
    const tuned = tune(tuningOf(model, method, trace.lr), baseOf(model, weights, method), { accumulates: false, seed: 0 })
    const start = openTensorFile(at("init.safetensors"))
    for (const { name: tensor, p } of tuned.store.trainables) readTensor(start.get(tensor)!, p)
    const before = tuned.store.trainables.map(({ p }) => p.slice())
    const { rows, order } = toRun(trace.batches.map((batch) => [batch]))
    const learner = graphLearner({ ...tuned, model, batchSize: trace.batches[0]!.input_ids.length, threads: 1, rows, order, seed: 0 })
    const values: Readonly<Record<string, number | null>>[] = []
    const options = {
      learningRate: trace.lr,
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
    } as const
    await runTraining(options, order, learner, {
      checkpoints: new Checkpoints(join(workspace.folder, `${name}-${from}`), () => undefined),
      emit: (event) => event._tag === "Metrics" && "loss" in event.values && values.push(event.values),
      stopRequested: () => false,
      keepBatch: () => "nowhere"
    })
    await learner.release()
    expect(values.length).toBe(trace.steps.length)
    trace.steps.forEach((step, i) => {
      expect(Math.abs((values[i]?.["loss"] as number) - step.loss)).toBeLessThanOrEqual(2e-5)
      expect(Math.abs((values[i]?.["gradNorm"] as number) / step.grad_norm - 1)).toBeLessThanOrEqual(1e-4)
    })
    const end = tensorsOf(at("final.safetensors"))
    const [theirs, ours] = [tuned.store.trainables.map((t) => end.get(t.name)!), tuned.store.trainables.map(({ p }) => p)]
    expect(driftOf(theirs, ours, before)).toBeLessThanOrEqual(1e-3)
  })
})

const options = { batchSize: 4, gradientAccumulationSteps: 2, epochs: 2, learningRate: 0.02, evalSteps: 2 } as const
const method = { type: "qlora", r: 4, loraAlpha: 8, targetModules: "all-linear" } as const

describe("the stage", () => {
  const findBase = () => Promise.resolve(workspace.inputs["base"]!.path)

  test("writes a PEFT adapter that says how its base was held, and learns", async () => {
    const task = taskIn(workspace, "qlora", { ...options, method })
    const events: StageEvent[] = []
    const result = await runHere(task, undefined, events)
    const logs = events.flatMap((event) => (event._tag === "Log" ? [event.text] : []))
    // 2 layers of 2 * (32 * 32 + 16 * 32) + 3 * 32 * 48 values; these small tensors are filled up to 256 scales.
    expect(logs.find((text) => text.startsWith("frozen:"))).toMatch(
      /^frozen: 2,208 values as float32 in 8,832 bytes \(32\.000 bits each\), 15,360 values as nf4 with double quantisation in [\d,]+ bytes/
    )
    expect(result.metrics?.["validationLoss"]).toBeLessThan(5)
    const folder = join(task.workDir, "out", "model")
    expect(JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"))).toMatchObject({ peft_type: "LORA", r: 4, lora_alpha: 8 })
    const info = await readModelInfo(folder)
    expect(info).toMatchObject({ method: "qlora", quantization: { quantType: "nf4", doubleQuant: true, blockSize: 64 } })
    expect(info?.parameters.total).toBe(17568 + (info?.parameters.trainable as number))
  })

  test("the model that comes out computes with the base that it was trained over", async () => {
    const folder = join(taskIn(workspace, "qlora", { ...options, method }).workDir, "out", "model")
    const table = tokensTable(5, 2)
    const { nll, targets } = await scoreRows(await openModel(folder, findBase), table, { batchSize: 4, threads: 1 })
    const total = (numbers: Float64Array | Int32Array): number => [...numbers].reduce((a, b) => a + b, 0)
    expect(total(nll) / total(targets)).toBeCloseTo((await readModelInfo(folder))?.metrics["validationLoss"] as number, 4)

    const { model, weights } = await loadModel(await findBase())
    const { adapter, weights: own } = await loadAdapter(folder, model)
    const held = dequantisedWeights(model, weights, { quantType: "nf4", doubleQuant: true, blockSize: 64 })
    const merged = await openMerged(folder, findBase)
    for (const { name } of model.parameters) expect(merged.weights.read(name), name).toEqual(adapter.merge!(held, own).read(name))
    const first = `${model.linears[0]!.path}.weight`
    expect(merged.weights.read(first)).not.toEqual(adapter.merge!(weights, own).read(first))
  })

  test("killed in the middle and started again, it ends in the same bytes", async () => {
    const alone = taskIn(workspace, "alone", { ...options, method })
    await runHere(alone)
    const task = taskIn(workspace, "killed", { ...options, method })
    expect((await runChild(task, { fault: "mid-accumulation@3" })).signal).toBe("SIGKILL")
    expect((await runChild(task)).last).toMatchObject({ type: "done" })
    expect(weightsDigest(task)).toBe(weightsDigest(alone))
  })
})

const wide = {
  model_type: "llama",
  vocab_size: 64,
  hidden_size: 512,
  intermediate_size: 1024,
  num_hidden_layers: 1,
  num_attention_heads: 8
}

describe("frozen tensors in memory", () => {
  test("take 4.5 bits a value, 4.127 with double quantisation, counted in the arrays that a session is fed with", () => {
    const model = modelOf(parseConfig(JSON.stringify(wide), "wide"), "wide")
    const bits = (doubleQuant: boolean): number => {
      const frozen = freeze(model.parameters, baseOf(model, initialWeights(model, 1), qlora({ doubleQuant })))
      const fourBit = frozen.filter(({ form }) => form.startsWith("nf4"))
      expect(fourBit.map(({ name }) => name)).toEqual(model.linears.map(({ path }) => `${path}.weight`))
      const bytes = fourBit.flatMap(({ inputs }) => inputs.map(({ data }) => (data as Uint8Array).byteLength)).reduce((a, b) => a + b, 0)
      return (8 * bytes) / fourBit.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    }
    expect(bits(false)).toBe(4.5)
    expect(bits(true)).toBeCloseTo(4.127, 3)
  })
})
