// The option `device` of the train stage: what enters the key, what is refused before any weight is read, and a training on each GPU in
// the stage's own process.
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { findDevice } from "#src/runtime/Device.ts"
import { deviceIdOf, kindOf } from "#stages/device.ts"
import { trainKind } from "#stages/train/stage.ts"
import { makeWorkspace, runChild, runHere, taskIn } from "../train/workspace.ts"
import { workersOf } from "#stages/train/share.ts"
import { hasCuda, onEachGpu } from "./gpus.ts"

const workspace = await makeWorkspace()
afterAll(workspace.clear)

test("the kind of the device is in the key, its number is not", () => {
  expect((["cpu", "cuda", "cuda:1", ["cuda:0", "cuda:1"], "webgpu"] as const).map(kindOf)).toEqual([
    ...["cpu", "cuda", "cuda", "cuda", "webgpu"]
  ])
  const { config } = taskIn(workspace, "facts", { device: "cuda:1" })
  expect(trainKind.facts?.(config)["device"]).toBe("cuda")
  expect(trainKind.executionOnly).toContain("device")
})

test.each(["gpu", "cuda:x", "cuda:-1"])("%s is no device", (device) => {
  expect(() => taskIn(workspace, "none", { device } as never)).toThrow(/device/)
})

test.skipIf(hasCuda)("cuda is refused before any weight is read, by the names of what is missing", async () => {
  const { missing } = await findDevice("cuda")
  const broken = await makeWorkspace()
  writeFileSync(join(broken.folder, "base", "model.safetensors"), "no weights")
  for (const device of ["cuda", "cuda:1", ["cuda:0", "cuda:1"]] as const) {
    const error = await runHere(taskIn(broken, "cuda", { device, gradientAccumulationSteps: 2 })).catch((u: unknown) => u)
    expect(error).toMatchObject({ _tag: "EnvironmentError", exitCode: 5, where: "train.device" })
    if (missing.length > 0) for (const name of missing) expect((error as Error & { why: string }).why).toContain(name)
  }
  broken.clear()
})

test("the names are those that the loader looks for", async () => {
  const { missing, fix } = await findDevice("cuda")
  if (missing.length === 0) return
  expect(fix).toMatch(/CUDA 13/)
  for (const name of missing) expect(name).toMatch(/^lib\w+\.so(\.\d+)?$/)
})

test("webgpu without a GPU is refused", async () => {
  const before = process.env["VK_ICD_FILENAMES"]
  process.env["VK_ICD_FILENAMES"] = "/nonexistent"
  const { last } = await runChild(taskIn(workspace, "no-gpu", { device: "webgpu", maxSteps: 1 }))
  if (before === undefined) delete process.env["VK_ICD_FILENAMES"]
  else process.env["VK_ICD_FILENAMES"] = before
  // A machine with a real GPU has another driver to offer.
  if (last?.type === "failed") expect(last.error).toMatchObject({ _tag: "EnvironmentError", message: "webgpu is not available here" })
  else expect(last?.type).toBe("done")
})

test("a list of devices has micro-batches to share; each worker computes on its own", async () => {
  const task = taskIn(workspace, "few", { device: ["cuda:0", "cuda:1"] })
  await expect(runHere(task)).rejects.toMatchObject({
    _tag: "DefinitionError",
    where: "train.device",
    hint: "set gradientAccumulationSteps to 2 or more, or name fewer devices"
  })
  const { config } = taskIn(workspace, "shared", { device: ["cuda:3", "cuda:1"], gradientAccumulationSteps: 4 })
  expect(workersOf(config)).toBe(2)
  expect([0, 1].map((worker) => deviceIdOf(config.device, worker))).toEqual([3, 1])
  expect((["cpu", "cuda", "cuda:2"] as const).map((device) => deviceIdOf(device))).toEqual([0, 0, 2])
})

test("workers belong to the CPU", async () => {
  const task = taskIn(workspace, "workers", { device: "webgpu", workers: 2, gradientAccumulationSteps: 2 })
  await expect(runHere(task)).rejects.toMatchObject({ _tag: "DefinitionError", where: "train.workers" })
})

onEachGpu((device) => {
  test("the stage trains, and its figures are the CPU's", async () => {
    const options = { maxSteps: 2, batchSize: 4, method: { type: "lora", r: 2 } } as const
    const gpu = await runChild(taskIn(workspace, device, { ...options, device }))
    const cpu = await runHere(taskIn(workspace, `cpu beside ${device}`, options))
    if (gpu.last?.type !== "done") throw new Error(JSON.stringify(gpu.last))
    const { metrics } = gpu.last.result
    for (const name of ["trainLoss", "validationLoss"]) {
      expect(Math.abs((metrics?.[name] as number) - (cpu.metrics?.[name] as number))).toBeLessThan(2e-5)
    }
    rmSync(join(workspace.folder, device), { recursive: true })
  })
  test.runIf(device === "cuda")("workers that share the micro-batches of each step end near one that makes them all", async () => {
    const options = { maxSteps: 2, batchSize: 4, gradientAccumulationSteps: 2 } as const
    const both = await runChild(taskIn(workspace, "both", { ...options, device: ["cuda:0", "cuda:0"] }))
    const cpu = await runHere(taskIn(workspace, "alone", options))
    if (both.last?.type !== "done") throw new Error(JSON.stringify(both.last))
    const loss = (metrics: Readonly<Record<string, unknown>> | undefined): number => metrics?.["validationLoss"] as number
    expect(Math.abs(loss(both.last.result.metrics) - loss(cpu.metrics))).toBeLessThan(2e-5)
  })
})
