// Going on from an adapter: its tensors are where training begins, and what does not fit is found before any weight is read.
import { cpSync, mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { InputArtifact, StageTask } from "#src/domain/StageContext.ts"
import { openTensorFile, readTensor } from "#src/models/weights.ts"
import { readModelInfo } from "#src/runtime/ModelFolder.ts"
import type { TrainConfig } from "#stages/train/stage.ts"
import { makeWorkspace, runHere, taskIn, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeEach(async () => {
  workspace = await makeWorkspace()
})
afterEach(() => workspace.clear())

const lora = { type: "lora", r: 2, loraAlpha: 4, targetModules: "all-linear" } as const
const options = { batchSize: 4, maxSteps: 3, learningRate: 1e-2, loadBestModelAtEnd: false, method: lora } as const

const outOf = (task: StageTask<TrainConfig>): string => join(task.workDir, "out", "model")
const artifact = (path: string): InputArtifact => ({ kind: "model", digest: `sha256:${path.split("/").at(-4)}`, path })
const tensorsOf = (folder: string) =>
  new Map([...openTensorFile(join(folder, "adapter_model.safetensors"))].map(([name, tensor]) => [name, readTensor(tensor)]))

const trained = async (name: string, config: typeof TrainConfig.Encoded = options): Promise<string> => {
  const task = taskIn(workspace, name, config)
  await runHere(task)
  return outOf(task)
}

const from = (adapter: InputArtifact, config: typeof TrainConfig.Encoded = options, name = "second"): StageTask<TrainConfig> => {
  const task = taskIn(workspace, name, config)
  return { ...task, inputs: { ...task.inputs, adapter } }
}

const largest = (a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): number =>
  Math.max(...[...a].flatMap(([name, values]) => [...values].map((x, i) => Math.abs(x - (b.get(name)?.[i] ?? NaN)))))

test("training begins with the adapter's tensors, and anneal.json says which adapter it was", async () => {
  const first = await trained("first")
  const still = from(artifact(first), { ...options, maxSteps: 1, learningRate: 1e-12 })
  await runHere(still)
  expect(largest(tensorsOf(outOf(still)), tensorsOf(first))).toBeLessThan(1e-9)
  const further = from(artifact(first), options, "further")
  await runHere(further)
  expect(largest(tensorsOf(outOf(further)), tensorsOf(first))).toBeGreaterThan(1e-3)
  expect((await readModelInfo(outOf(further)))?.data).toEqual({
    train: "sha256:train",
    validation: "sha256:validation",
    adapter: artifact(first).digest
  })
})

test("an adapter folder of PEFT, without anneal.json, and options said in other words", async () => {
  const first = await trained("first")
  rmSync(join(first, "anneal.json"))
  const names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] as const
  const task = from(artifact(first), { ...options, method: { ...lora, targetModules: names, loraDropout: 0.1 } })
  await runHere(task)
  expect(tensorsOf(outOf(task)).size).toBe(28)
})

describe("refused before any weight is read", () => {
  const refused = async (adapter: InputArtifact, config: typeof TrainConfig.Encoded, message: RegExp): Promise<void> => {
    const task = from(adapter, config)
    await expect(runHere(task)).rejects.toThrow(message)
  }

  test("an adapter of another base, by the digest of its training", async () => {
    const first = await trained("first")
    const { base } = workspace.inputs as Record<"base", InputArtifact>
    const other = { ...workspace, inputs: { ...workspace.inputs, base: { ...base, digest: "sha256:other" } } }
    const task = taskIn(other, "second", options)
    await expect(runHere({ ...task, inputs: { ...task.inputs, adapter: artifact(first) } })).rejects.toMatchObject({
      _tag: "DataError",
      message: "the adapter was trained over another base",
      why: expect.stringContaining("sha256:other") as string
    })
  })

  test.each([
    ["r", { ...lora, r: 4 }, /r is 2 there, 4 in the method/],
    ["loraAlpha", { ...lora, loraAlpha: 8 }, /loraAlpha is 4 there, 8 in the method/],
    ["the scale", { ...lora, useRslora: true }, /useRslora is false there, true in the method/],
    ["the targets", { ...lora, targetModules: ["q_proj"] as const }, /targetModules is \[.*\] there, \["q_proj"\] in the method/],
    ["DoRA", { ...lora, useDora: true }, /useDora is false there, true in the method/],
    ["the kind", { type: "ia3" } as const, /peftType is "LORA" there, "IA3" in the method/],
    ["no adapter at all", { type: "full" } as const, /the method is full\(\)/]
  ])("another method: %s", async (_, method, message) => {
    await refused(artifact(await trained("first")), { ...options, method }, message)
  })

  test("a whole model, and an adapter of a model of another size", async () => {
    await refused(artifact(await trained("whole", { ...options, method: { type: "full" } })), options, /the folder holds no adapter/)
    const first = await trained("first")
    const cut = join(workspace.folder, "cut")
    mkdirSync(cut)
    cpSync(join(first, "adapter_config.json"), join(cut, "adapter_config.json"))
    const part = await trained("part", { ...options, method: { ...lora, targetModules: ["q_proj"] } })
    cpSync(join(part, "adapter_model.safetensors"), join(cut, "adapter_model.safetensors"))
    await refused(artifact(cut), options, /missing 24 tensors/)
  })
})
