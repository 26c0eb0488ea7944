// The stage's own process: events, results and errors over IPC, a stop, Ctrl-C of the terminal, and the death of the engine.
import type { fork } from "node:child_process"
import { existsSync, readdirSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { resolve } from "node:path"
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { makeWorkspace, runChild, runHere, taskIn, weightsDigest, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeEach(async () => {
  workspace = await makeWorkspace()
})
afterEach(() => workspace.clear())

const options = { batchSize: 4, epochs: 2, learningRate: 0.02 }

test("events come first, the result last, and the bytes are those of a run in one process", async () => {
  const task = taskIn(workspace, "child", options)
  const { events, last } = await runChild(task)
  expect(last).toMatchObject({ type: "done", result: { metrics: { steps: 12 } } })
  expect(events.filter((event) => event._tag === "Progress").length).toBe(12)
  const here = taskIn(workspace, "here", options)
  await runHere(here)
  expect(weightsDigest(task)).toBe(weightsDigest(here))
})

test("ONNX Runtime's reports to its makers are off: it leaves no log of them", async () => {
  await runChild(taskIn(workspace, "quiet", { ...options, maxSteps: 1 }))
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith("mat-debug"))).toEqual([])
})

test("an error arrives with its tag and its hint", async () => {
  const { last } = await runChild(taskIn(workspace, "bad", { ...options, method: { type: "lora", targetModules: ["c_attn"] } }))
  expect(last).toMatchObject({ type: "failed", error: { _tag: "DataError", message: expect.stringContaining("c_attn") } })
})

test("a damaged base model is named, not thrown as a stack trace", async () => {
  writeFileSync(resolve(workspace.inputs["base"]?.path as string, "model.safetensors"), "short")
  const { last } = await runChild(taskIn(workspace, "bad", options))
  expect(last).toMatchObject({ type: "failed", error: { _tag: "DataError" } })
})

describe("stopping", () => {
  // What each way of stopping does once the first step is reported.
  const ways = {
    "the engine says stop": (child: ReturnType<typeof fork>) => child.send({ type: "stop" }),
    "the process gets SIGTERM": (child: ReturnType<typeof fork>) => child.kill("SIGTERM"),
    "the channel to the engine closes": (child: ReturnType<typeof fork>) => child.disconnect()
  }
  const config = { ...options, epochs: 200, maxSteps: 200, saveSteps: 1000, schedule: "constant" } as const
  let undisturbed = ""
  beforeAll(async () => {
    const own = await makeWorkspace()
    const alone = taskIn(own, "alone", config)
    await runHere(alone)
    undisturbed = weightsDigest(alone)
    own.clear()
  })

  test.each(Object.keys(ways) as (keyof typeof ways)[])("%s: the step ends, a checkpoint is saved, the next run goes on", async (way) => {
    const task = taskIn(workspace, "stopped", config)
    let asked = false
    const { last, signal } = await runChild(task, {
      onEvent: (event, child) => {
        if (asked || event._tag !== "Progress") return
        asked = true
        // Ctrl-C reaches every process of the terminal: it alone must not end the stage.
        child.kill("SIGINT")
        ways[way](child)
      }
    })
    expect(signal).toBeNull()
    if (way !== "the channel to the engine closes") expect(last).toMatchObject({ type: "failed", error: { _tag: "InterruptedError" } })
    expect(readdirSync(task.checkpointDir).some((name) => /^step-\d+$/.test(name))).toBe(true)
    expect(existsSync(resolve(task.workDir, "out", "model"))).toBe(false)
    const again = await runChild(task)
    expect(again.events.some((event) => event._tag === "Resumed")).toBe(true)
    expect(again.last).toMatchObject({ type: "done", result: { metrics: { steps: 200 } } })
    expect(weightsDigest(task)).toBe(undisturbed)
  })
})

test("an attempt whose lease was taken over writes no checkpoint and fails", async () => {
  const task = taskIn(workspace, "stale", options)
  writeFileSync(task.leasePath, JSON.stringify({ attempt: "a2", pid: 1, host: "elsewhere", run: "run-2" }))
  const { last } = await runChild(task)
  expect(last).toMatchObject({ type: "failed", error: { _tag: "EnvironmentError" } })
  expect(readdirSync(task.checkpointDir).filter((name) => !name.endsWith(".tmp"))).toEqual([])
})
