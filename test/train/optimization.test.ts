// Optimizers, schedules, groups of tensors and the log through the train stage: what they write, and what is refused.
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { InterruptedError } from "#src/domain/Errors.ts"
import { uniform } from "#src/domain/random.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import type { TrainingAlert } from "#src/domain/TrainingLog.ts"
import { openTensorFile, readTensor, writeTensorFile } from "#src/models/weights.ts"
import { makeWorkspace, runHere, taskIn, tokensTable, trainingLog, weightsDigest, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeEach(async () => {
  workspace = await makeWorkspace()
})
afterEach(() => workspace.clear())

const options = { batchSize: 4, epochs: 2, learningRate: 0.01, weightDecay: 0.1 } as const
type Config = Parameters<typeof taskIn>[2]
const digestOf = (folder: string): string => {
  const hash = createHash("sha256")
  for (const name of readdirSync(folder).toSorted()) hash.update(name).update(readFileSync(join(folder, name)))
  return hash.digest("hex")
}
const logFolder = (task: ReturnType<typeof taskIn>): string => join(task.workDir, "out", "log")

const optimizers: Readonly<Record<string, Config>> = {
  adafactor: { optimizer: "adafactor", learningRate: 0.02, scaleParameter: true },
  lion: { optimizer: "lion", learningRate: 1e-3, lionBeta2: 0.98 },
  sgd: { optimizer: "sgd", learningRate: 0.3 },
  momentum: { optimizer: "sgd", learningRate: 0.05, momentum: 0.9, gradientAccumulationSteps: 2, epochs: 4 }
}

describe.each(Object.keys(optimizers))("%s", (name) => {
  const config: Config = { ...options, evalSteps: 2, ...optimizers[name] }

  test("learns; stopped and resumed, and with two threads, it gives the same weights and the same log", async () => {
    const [one, two, stopped] = [
      taskIn(workspace, "one", config),
      taskIn(workspace, "two", config, 2),
      taskIn(workspace, "stopped", config)
    ]
    await runHere(one)
    await runHere(two)
    let questions = 0
    await expect(runHere(stopped, () => ++questions === 12)).rejects.toBeInstanceOf(InterruptedError)
    await runHere(stopped)
    for (const task of [two, stopped])
      expect([weightsDigest(task), digestOf(logFolder(task))]).toEqual([weightsDigest(one), digestOf(logFolder(one))])
    const { rows } = await trainingLog(one)
    expect(rows.length).toBe(12)
    const validations = rows.flatMap(({ validationLoss }) => validationLoss ?? [])
    expect(validations.length).toBe(6)
    expect(Math.min(...validations.slice(1))).toBeLessThan(validations[0] as number)
  })
})

test("groups of tensors learn at their own rates", async () => {
  const lora = { type: "lora", r: 4, loraAlpha: 8 } as const
  const weights = async (name: string, parameterGroups: Config["parameterGroups"] = []): Promise<ReadonlyMap<string, Float32Array>> => {
    const task = taskIn(workspace, name, { ...options, method: lora, optimizer: "sgd", maxSteps: 1, parameterGroups })
    await runHere(task)
    const stored = openTensorFile(join(task.workDir, "out", "model", "adapter_model.safetensors"))
    return new Map([...stored].map(([tensor, entry]) => [tensor, readTensor(entry)]))
  }
  const plain = await weights("plain")
  const grouped = await weights("grouped", [{ match: ["*.layers.0.*.lora_B.*"], learningRateScale: 8 }])
  const named = await weights("named", [{ match: ["*.layers.0.*.lora_B.*"], learningRate: 0.08 }])
  for (const [name, was] of plain) {
    // After one step of plain gradient descent from 0, B is in proportion to its rate.
    const factor = name.includes("layers.0.") && name.includes("lora_B") ? 8 : 1
    expect(grouped.get(name), name).toEqual(was.map((x) => x * factor))
    expect(named.get(name)).toEqual(grouped.get(name))
  }
})

describe("the log", () => {
  test("has every step whatever is reported, and the alerts with the batches that they keep", async () => {
    const config: Config = { ...options, epochs: 8, schedule: "constant", optimizer: "sgd", learningRate: 1e-12 }
    const [one, again] = [taskIn(workspace, "one", config), taskIn(workspace, "again", { ...config, loggingSteps: 7 })]
    const events: StageEvent[] = []
    await runHere(one, undefined, events)
    await runHere(again)
    expect(digestOf(logFolder(again))).toBe(digestOf(logFolder(one)))
    const { rows, alerts } = await trainingLog(one)
    expect(rows.map(({ step }) => step)).toEqual(Array.from({ length: 48 }, (_, i) => i + 1))
    const reported = events.flatMap((event) => (event._tag === "Metrics" && "loss" in event.values ? [event] : []))
    expect(rows.map(({ loss, gradNorm, learningRate }) => [loss, gradNorm, learningRate])).toEqual(
      reported.map(({ values }) => [values["loss"], values["gradNorm"], values["learningRate"]])
    )
    expect(rows.reduce((sum, { tokens }) => sum + tokens, 0)).toBeGreaterThan(48)
    expect(alerts).toMatchObject([{ kind: "dead-learning-rate", step: 20 }])
    expect(events.filter(({ _tag }) => _tag === "Alert")).toMatchObject([{ kind: "dead-learning-rate", step: 20 }])
  })

  test("a loss far from the others is said, and its batch stands beside the log", async () => {
    // One row repeats a token that no other has.
    const tokens = Int32Array.from({ length: 60 * 24 }, (_, i) => Math.floor(uniform(1, i, 0) * 63))
    tokens.fill(63, 7 * 24, 8 * 24)
    const table = {
      ...tokensTable(60, 3),
      tokens,
      offsets: Int32Array.from({ length: 61 }, (_, i) => i * 24),
      mask: new Uint8Array(60 * 24).fill(1)
    }
    workspace.clear()
    workspace = await makeWorkspace(table)
    // In the second epoch there are enough losses before it, wherever it stood in the first.
    const config: Config = {
      batchSize: 1,
      epochs: 2,
      optimizer: "sgd",
      learningRate: 1e-6,
      schedule: "constant",
      loadBestModelAtEnd: false
    }
    const task = taskIn(workspace, "odd", config)
    const events: StageEvent[] = []
    await runHere(task, undefined, events)
    const { alerts } = await trainingLog(task)
    const spike = alerts.findLast(({ kind }) => kind === "loss-spike") as TrainingAlert
    expect(spike.detail).toMatch(
      /^the loss of step \d+, [\d.]+, lies [\d.]+ standard deviations above those before it; kept: batch-step-\d+.json$/
    )
    expect(events).toContainEqual({ _tag: "Alert", ...spike })
    const kept = JSON.parse(readFileSync(join(logFolder(task), spike.batch as string), "utf8")) as {
      readonly rows: readonly { id: string }[]
    }
    expect(kept.rows.map(({ id }) => id)).toEqual(["row-7"])
  })
})

test("steps that are not finite are skipped up to the limit, each with its alert and its batch", async () => {
  const file = join(workspace.inputs["base"]?.path as string, "model.safetensors")
  const tensors = [...openTensorFile(file).values()]
  const data = new Map(tensors.map((tensor) => [tensor.name, readTensor(tensor)]))
  data.get("model.norm.weight")?.fill(Number.NaN)
  writeTensorFile(file, tensors, (name) => data.get(name) as Float32Array)
  const task = taskIn(workspace, "skip", { ...options, onNonFinite: "skip", maxSkippedSteps: 3 })
  const events: StageEvent[] = []
  await expect(runHere(task, undefined, events)).rejects.toMatchObject({
    _tag: "TrainingError",
    message: "3 steps in a row were skipped, the last because the loss of step 3 is NaN"
  })
  expect(events.flatMap((event) => (event._tag === "Alert" ? [[event.kind, event.step, event.batch]] : []))).toEqual(
    [1, 2, 3].map((step) => ["non-finite", step, `batch-step-${step}.json`])
  )
  expect(events.find((event) => event._tag === "Metrics")).toMatchObject({ values: { loss: null }, nonFinite: ["loss", "gradNorm"] })
  expect(readdirSync(task.checkpointDir).filter((name) => name.startsWith("batch-")).length).toBe(3)
})

describe("refused before any weight is read", () => {
  const refused = async (config: Config, message: string): Promise<void> => {
    writeFileSync(join(workspace.inputs["base"]?.path as string, "model.safetensors"), "not read")
    const task = taskIn(workspace, "refused", { ...options, ...config })
    await expect(runHere(task)).rejects.toMatchObject({ _tag: "DefinitionError", message })
    expect(existsSync(task.checkpointDir)).toBe(false)
  }
  test.each<readonly [Config, string]>([
    [{ warmupSteps: 0, warmupRatio: 0.1 }, "warmupSteps and warmupRatio are both set"],
    [{ optimizer: "lion", adamBeta1: 0.9 }, "adamBeta1 is set, but optimizer is lion, which does not use it"],
    [{ momentum: 0.9 }, "momentum is set, but optimizer is adamw, which does not use it"],
    [{ schedule: "constant", warmupSteps: 2 }, "warmupSteps is set, but schedule is constant, which does not use it"],
    [{ schedule: "linear", numCycles: 2 }, "numCycles is set, but schedule is linear, which does not use it"],
    [{ maxSkippedSteps: 3 }, "maxSkippedSteps is set, but onNonFinite is fail, which does not use it"],
    [{ schedule: "cosineWithMinLr" }, "schedule cosineWithMinLr takes either minLr or minLrRate"],
    [{ schedule: "cosineWithMinLr", minLr: 1e-5, minLrRate: 0.1 }, "schedule cosineWithMinLr takes either minLr or minLrRate"],
    [{ schedule: "polynomial", lrEnd: 0.01 }, "lrEnd, 0.01, is not below learningRate, 0.01"],
    [{ schedule: "warmupStableDecay" }, "schedule warmupStableDecay needs decaySteps"],
    [{ parameterGroups: [{ match: ["*"] }] }, "parameterGroups[0] changes nothing"],
    [
      { parameterGroups: [{ match: ["*"], learningRate: 1, learningRateScale: 2 }] },
      "parameterGroups[0] sets both learningRate and learningRateScale"
    ]
  ])("%j", refused)
})

test("a group that fits no trained tensor is refused", async () => {
  const task = taskIn(workspace, "refused", { ...options, parameterGroups: [{ match: ["*.norm.weigth"], weightDecay: 0 }] })
  await expect(runHere(task)).rejects.toMatchObject({ message: 'parameterGroups: no trained tensor fits "*.norm.weigth"' })
})
