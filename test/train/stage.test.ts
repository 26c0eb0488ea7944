// The train stage on a small random Llama: what it writes, what it refuses, and that a seed fixes every byte.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import { openTensorFile, readTensor, writeTensorFile } from "#src/models/weights.ts"
import { readModelInfo } from "#src/runtime/ModelFolder.ts"
import { makeWorkspace, runHere, taskIn, tokensTable, weightsDigest, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeEach(async () => {
  workspace = await makeWorkspace()
})
afterEach(() => workspace.clear())

const options = { batchSize: 4, epochs: 2, learningRate: 0.01, warmupRatio: 0.1, weightDecay: 0.1 }
const lora = { type: "lora", r: 4, loraAlpha: 8, targetModules: "all-linear" } as const

describe("full fine-tuning", () => {
  test("writes a model folder that is better than the base on both parts, and tells how it came about", async () => {
    const task = taskIn(workspace, "full", { ...options, epochs: 4 })
    const events: StageEvent[] = []
    const result = await runHere(task, undefined, events)
    const values = (name: string): number[] =>
      events.flatMap((e) => (e._tag === "Metrics" && name in e.values ? [e.values[name] as number] : []))
    expect(values("loss").at(-1)).toBeLessThan(values("loss")[0] as number)
    expect(result.metrics?.["validationLoss"]).toBe(Math.min(...values("validationLoss")))
    expect(result.metrics).toMatchObject({ steps: 24, trainableParameters: 17568 })
    expect(events).toContainEqual({
      _tag: "Log",
      level: "info",
      text: "trainable params: 17,568 || all params: 17,568 || trainable%: 100.0000"
    })
    const folder = join(task.workDir, "out", "model")
    expect(readdirSync(folder).sort()).toEqual(["anneal.json", "config.json", "model.safetensors", "tokenizer.json"])
    expect(await readModelInfo(folder)).toMatchObject({
      method: "full",
      base: { digest: "sha256:base" },
      data: { train: "sha256:train", validation: "sha256:validation" },
      parameters: { trainable: 17568, total: 17568 },
      steps: 24,
      tokens: { vocabSize: 64, promptFormat: { template: "plain" } }
    })
  })

  test("starts from random weights where asked, the same ones for the same seed", async () => {
    const random = async (name: string, seed: number): Promise<string> => {
      const task = taskIn(workspace, name, { ...options, maxSteps: 1, initialWeights: "random", seed })
      await runHere(task)
      return weightsDigest(task)
    }
    expect(await random("a", 1)).toBe(await random("b", 1))
    expect(await random("c", 2)).not.toBe(await random("d", 1))
  })
})

test("lora writes a PEFT folder with the tokenizer and only trains the adapter", async () => {
  const task = taskIn(workspace, "lora", { ...options, method: lora })
  const events: StageEvent[] = []
  const { metrics } = await runHere(task, undefined, events)
  expect(metrics?.["trainableParameters"]).toBe(3712)
  const folder = join(task.workDir, "out", "model")
  expect(readdirSync(folder).sort()).toEqual([
    "adapter_config.json",
    "adapter_model.safetensors",
    "anneal.json",
    "config.json",
    "tokenizer.json"
  ])
  expect(JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"))).toMatchObject({ peft_type: "LORA", r: 4, lora_alpha: 8 })
  const b = openTensorFile(join(folder, "adapter_model.safetensors")).get("base_model.model.model.layers.1.mlp.down_proj.lora_B.weight")
  expect(b !== undefined && readTensor(b).some((x) => x !== 0)).toBe(true)
  expect(events.find((e) => e._tag === "Log" && e.text.startsWith("trainable"))).toMatchObject({
    text: "trainable params: 3,712 || all params: 21,280 || trainable%: 17.4436"
  })
})

test.each([
  ["full", {}],
  ["lora", { method: lora }]
])("l2ToBase keeps the weights of %s near those of the start", async (name, more) => {
  const distance = async (l2ToBase: number): Promise<number> => {
    const task = taskIn(workspace, `${name} ${l2ToBase}`, { ...options, ...more, l2ToBase, weightDecay: 0, maxGradNorm: 0 })
    await runHere(task)
    const file = join(task.workDir, "out", "model", name === "full" ? "model.safetensors" : "adapter_model.safetensors")
    const trained = openTensorFile(file)
    const base = openTensorFile(join(workspace.inputs["base"]?.path as string, "model.safetensors"))
    // An adapter's B starts at zero.
    const parts = [...trained].flatMap(([tensor, data]) => {
      if (name !== "full" && !tensor.includes("lora_B")) return []
      const start = base.get(tensor)
      const from = start === undefined ? undefined : readTensor(start)
      return [...readTensor(data).map((x, i) => x - (from?.[i] ?? 0))]
    })
    return Math.hypot(...parts)
  }
  const [free, pulled] = [await distance(0), await distance(10)]
  expect(free).toBeGreaterThan(0)
  expect(pulled).toBeLessThan(0.5 * free)
})

describe("the same bytes", () => {
  const dropout = { ...options, gradientAccumulationSteps: 2, method: { ...lora, loraDropout: 0.1 } }
  test.each([
    ["full", { ...options, gradientAccumulationSteps: 2 }],
    ["lora with dropout", dropout],
    // 1.9 million values: enough for several threads to share the update.
    ["lora of a high rank", { ...options, maxSteps: 3, method: { ...lora, r: 2000, targetModules: "all-linear" } }]
  ] as const)("%s: again, and with two threads", async (_, config) => {
    const [one, again, two] = [
      taskIn(workspace, "one", config, 1),
      taskIn(workspace, "again", config, 1),
      taskIn(workspace, "two", config, 2)
    ]
    for (const task of [one, again, two]) await runHere(task)
    expect([weightsDigest(again), weightsDigest(two)]).toEqual([weightsDigest(one), weightsDigest(one)])
  })

  test("loggingSteps changes nothing in the model folder; the seed does", async () => {
    const [one, logged, seeded] = [
      taskIn(workspace, "one", dropout),
      taskIn(workspace, "l", { ...dropout, loggingSteps: 3 }),
      taskIn(workspace, "s", { ...dropout, seed: 1 })
    ]
    for (const task of [one, logged, seeded]) await runHere(task)
    const info = (task: typeof one): string => readFileSync(join(task.workDir, "out", "model", "anneal.json"), "utf8")
    expect([weightsDigest(logged), info(logged)]).toEqual([weightsDigest(one), info(one)])
    expect(weightsDigest(seeded)).not.toBe(weightsDigest(one))
  })
})

describe("refused before any work", () => {
  const refused = async (config: Parameters<typeof taskIn>[2], message: RegExp): Promise<void> => {
    const task = taskIn(workspace, "refused", { ...options, ...config })
    await expect(runHere(task)).rejects.toThrow(message)
    expect(existsSync(task.checkpointDir)).toBe(false)
  }

  test("a token outside the model's vocabulary", async () => {
    const table = tokensTable(6, 1)
    table.tokens[(table.offsets[3] as number) + 2] = 64
    workspace.clear()
    workspace = await makeWorkspace(table)
    await refused({}, /token id 64 does not exist in the model, whose vocab_size is 64/)
  })

  test("rows without a trained token", async () => {
    const table = tokensTable(6, 1)
    workspace.clear()
    workspace = await makeWorkspace({ ...table, mask: new Uint8Array(table.mask.length) })
    await refused({}, /no token of the train part is trained on/)
  })

  test("early stopping without a validation part", async () => {
    workspace.clear()
    workspace = await makeWorkspace(tokensTable(6, 1), null)
    await refused({ earlyStoppingPatience: 2 }, /earlyStoppingPatience is set, but there is no validation part/)
  })

  test("a target module that the model lacks", async () => {
    await refused({ method: { ...lora, targetModules: ["c_attn"] } }, /no module of this llama model is "c_attn"/)
  })
})

test("a weight that is not a number fails the stage at the first step, keeps the batch and writes no model", async () => {
  const file = join(workspace.inputs["base"]?.path as string, "model.safetensors")
  const tensors = [...openTensorFile(file).values()]
  const data = new Map(tensors.map((tensor) => [tensor.name, readTensor(tensor)]))
  data.get("model.norm.weight")?.fill(Number.NaN)
  writeTensorFile(file, tensors, (name) => data.get(name) as Float32Array)
  const task = taskIn(workspace, "nan", options)
  const events: StageEvent[] = []
  await expect(runHere(task, undefined, events)).rejects.toMatchObject({ _tag: "TrainingError", message: "the loss of step 1 is NaN" })
  expect(events).toContainEqual({
    _tag: "Alert",
    kind: "non-finite",
    step: 1,
    detail: "the loss of step 1 is NaN; kept: batch-step-1.json",
    batch: "batch-step-1.json"
  })
  const kept = JSON.parse(readFileSync(join(task.checkpointDir, "batch-step-1.json"), "utf8")) as { rows: readonly { id: string }[] }
  expect(kept.rows.length).toBe(4)
  expect(kept.rows[0]?.id).toMatch(/^row-\d+$/)
  expect(existsSync(join(task.workDir, "out", "model"))).toBe(false)
})
