// Training killed at every kind of point and started again ends in the same bytes, weights and log, as training left alone. The
// stage runs in its own process here, as the engine runs it, and dies by SIGKILL.
import { afterAll, beforeAll, expect, test } from "vitest"
import { type MethodName, methods } from "./methods.ts"
import { makeWorkspace, outputsDigest, runChild, runHere, taskIn, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeAll(async () => {
  workspace = await makeWorkspace()
})
afterAll(() => workspace.clear())

/** Two shuffled epochs of three accumulated steps, validated (in two batches) and saved every second step. */
const options = { batchSize: 4, gradientAccumulationSteps: 2, epochs: 2, learningRate: 0.02, weightDecay: 0.1, evalSteps: 2 } as const

/** Each point strikes the run that the ones before it have struck: passages are counted anew from the last checkpoint. */
const struck: Readonly<Record<MethodName, readonly string[]>> = {
  full: ["mid-accumulation@1", "during-update@31", "before-rename@2"],
  lora: [
    ...["mid-accumulation@2", "during-update@40", "between-checkpoint-files@1", "during-evaluation@2", "after-rename@1"],
    ...["before-rename@1", "mid-accumulation@1", "after-rename@2"]
  ],
  dora: ["during-update@50", "after-rename@1", "mid-accumulation@2"],
  qlora: ["mid-accumulation@3", "between-checkpoint-files@2", "during-update@30"],
  prefix: ["during-update@8", "during-evaluation@3"],
  "virtual tokens": ["mid-accumulation@4", "during-update@1"],
  "full, packed, adafactor": ["during-update@7", "between-checkpoint-files@1"],
  "lora, packed, lion": ["during-evaluation@1", "during-update@45"]
}

test.each(Object.keys(methods) as MethodName[])("%s", async (method) => {
  const config = { ...options, ...methods[method] }
  const alone = taskIn(workspace, `${method}-alone`, config)
  await runHere(alone)
  const task = taskIn(workspace, method, config)
  const signals: (string | null)[] = []
  for (const fault of struck[method]) signals.push((await runChild(task, { fault })).signal)
  expect(signals).toEqual(struck[method].map(() => "SIGKILL"))
  const { last } = await runChild(task)
  expect(last).toMatchObject({ type: "done" })
  expect(outputsDigest(task)).toBe(outputsDigest(alone))
})

test("two workers: the stage's process killed within an update, between files and before a replica's gradient is read", async () => {
  const config = { ...options, ...methods.lora }
  const alone = taskIn(workspace, "one worker", config)
  await runHere(alone)
  const task = taskIn(workspace, "two workers", { ...config, workers: 2 })
  for (const fault of ["during-update@40", "between-checkpoint-files@1", "mid-accumulation@1"])
    expect((await runChild(task, { fault })).signal).toBe("SIGKILL")
  expect((await runChild(task)).last).toMatchObject({ type: "done" })
  expect(outputsDigest(task)).toBe(outputsDigest(alone))
})

test("killed while several threads update the weights", async () => {
  const method = { type: "lora", r: 2000, targetModules: "all-linear" } as const
  const config = { ...options, gradientAccumulationSteps: 1, epochs: 1, learningRate: 1e-3, method }
  const alone = taskIn(workspace, "one thread", config)
  await runHere(alone)
  const task = taskIn(workspace, "two threads", config, 2)
  for (const fault of ["during-update@20", "between-checkpoint-files@1", "during-update@9"])
    expect((await runChild(task, { fault })).signal).toBe("SIGKILL")
  expect((await runChild(task)).last).toMatchObject({ type: "done" })
  expect(outputsDigest(task)).toBe(outputsDigest(alone))
})
