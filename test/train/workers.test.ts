// Data parallel training: n processes share the micro-batches of each step and give the bytes of one; a process that dies stops the
// run at its last checkpoint, and none is left behind.
import { readdirSync, readFileSync, rmSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import { makeWorkspace, runChild, runHere, taskIn, outputsDigest, tokensTable, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeAll(async () => {
  workspace = await makeWorkspace()
})
afterAll(() => workspace.clear())

/** Four micro-batches a step, two in the last one of each epoch: 22 rows are 4 + 2 of 4 rows. */
const options = { batchSize: 4, gradientAccumulationSteps: 4, epochs: 2, learningRate: 0.02, weightDecay: 0.1, evalSteps: 1 } as const
const dropouts = { attentionDropout: 0.1, residualDropout: 0.1, embeddingDropout: 0.1, neftuneNoiseAlpha: 5 } as const
const lora = { type: "lora", r: 4, loraAlpha: 8, loraDropout: 0.1, targetModules: "all-linear" } as const

/** Everything that a run says of its numbers. */
const figures = (events: readonly StageEvent[]) =>
  events.flatMap((event) => {
    if (event._tag !== "Metrics") return []
    const { tokensPerSecond: _, ...values } = event.values
    return [{ step: event.step, values }]
  })

describe.each([
  ["full with all dropout", { ...options, ...dropouts }, [2, 4]],
  ["lora with dropout", { ...options, method: lora }, [2, 3]],
  ["lora, packed, drawn to its start", { ...options, batchSize: 1, packing: true, packLength: 40, method: lora, l2ToBase: 0.1 }, [2]]
] as const)("%s", (name, config, counts) => {
  test(`${counts.join(" and ")} workers give the bytes of one`, async () => {
    const alone = taskIn(workspace, `${name}-1`, config)
    const expected: StageEvent[] = []
    await runHere(alone, undefined, expected)
    expect(figures(expected).length).toBeGreaterThan(5)
    for (const workers of counts) {
      const task = taskIn(workspace, `${name}-${workers}`, { ...config, workers })
      const events: StageEvent[] = []
      await runHere(task, undefined, events)
      expect(figures(events)).toEqual(figures(expected))
      expect(outputsDigest(task)).toBe(outputsDigest(alone))
    }
  })
})

test("products that round otherwise on two threads are computed on one: the same bytes with two threads and with two workers of one", async () => {
  // 40 and more positions, 128 columns of which two threads would have 64 each, 256 values to sum.
  const shape = { hidden_size: 128, intermediate_size: 256, num_hidden_layers: 1, tie_word_embeddings: false }
  const wide = await makeWorkspace(
    tokensTable(
      16,
      1,
      Array.from({ length: 20 }, (_, i) => i)
    ),
    tokensTable(5, 2),
    shape
  )
  const config = { batchSize: 2, gradientAccumulationSteps: 2, maxSteps: 3, learningRate: 1e-3 } as const
  const digestOf = async (name: string, more: object, threads: number): Promise<string> => {
    const task = taskIn(wide, name, { ...config, ...more }, threads)
    await runHere(task)
    return outputsDigest(task)
  }
  const one = await digestOf("one", {}, 1)
  expect(await digestOf("two threads", {}, 2)).toBe(one)
  expect(await digestOf("two workers", { workers: 2 }, 2)).toBe(one)
  wide.clear()
})

test("workers beyond the micro-batches of a step are not started", async () => {
  const events: StageEvent[] = []
  await runHere(taskIn(workspace, "few", { ...options, gradientAccumulationSteps: 1, workers: 3, maxSteps: 1 }), undefined, events)
  expect(events.filter((event) => event._tag === "Log").map(({ text }) => text)).not.toContainEqual(
    expect.stringContaining("processes share")
  )
})

const alive = (pid: number): boolean => {
  try {
    // A zombie is dead; only its parent has not looked.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}
/** Processes that `pid` has started. */
const childrenOf = (pid: number): readonly number[] =>
  readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number)
  )
const gone = async (pids: readonly number[]): Promise<void> => {
  while (pids.some(alive)) await sleep(10)
}

describe("a process that dies", () => {
  const config = { ...options, method: lora, workers: 3, saveSteps: 1 } as const
  let undisturbed = ""
  beforeAll(async () => {
    const task = taskIn(workspace, "undisturbed", { ...config, workers: 1 })
    await runHere(task)
    undisturbed = outputsDigest(task)
  })

  test("a replica killed within a step: the error names it, the same command goes on from the checkpoint", async () => {
    const task = taskIn(workspace, "killed", config)
    // The second share of each replica: the first step is saved.
    const { last, signal } = await runChild(task, { fault: "in-replica@2" })
    expect(signal).toBeNull()
    expect(last).toMatchObject({
      type: "failed",
      error: {
        _tag: "CrashError",
        message: expect.stringMatching(/^worker [23] of 3 of this training was killed by SIGKILL$/),
        hint: expect.stringContaining("same command")
      }
    })
    const again = await runChild(task)
    expect(again.events.find((event) => event._tag === "Resumed")).toMatchObject({ step: 1 })
    expect(again.last).toMatchObject({ type: "done" })
    expect(outputsDigest(task)).toBe(undisturbed)
  })

  test("an error of a replica is the stage's error", async () => {
    const own = await makeWorkspace()
    // Gone once the replicas begin, which read it later.
    const spoil = (event: StageEvent): void => {
      if (event._tag === "Log" && event.text.includes("processes share")) rmSync(own.inputs["train"]?.path as string)
    }
    const { last } = await runChild(taskIn(own, "broken", config), { onEvent: spoil })
    own.clear()
    expect(last).toMatchObject({ type: "failed", error: { _tag: "DataError", message: expect.stringContaining("train.arrow") } })
  })

  test.each([
    ["killed after a step", "Progress", "SIGKILL"],
    ["killed while its replicas start", "Log", "SIGKILL"],
    ["left alone by the engine", "Progress", null]
  ] as const)("the stage's process %s: no replica stays", async (name, moment, expected) => {
    const task = taskIn(workspace, name, { ...config, epochs: 400, saveSteps: 10_000 })
    let replicas: readonly number[] = []
    const { signal } = await runChild(task, {
      onEvent: (event, child) => {
        if (event._tag !== moment || replicas.length > 0) return
        if (event._tag === "Log" && !event.text.includes("processes share")) return
        replicas = childrenOf(child.pid as number)
        if (expected === null) child.disconnect()
        else child.kill(expected)
      }
    })
    expect(signal).toBe(expected)
    expect(replicas.length).toBe(2)
    await gone(replicas)
  })

  test("a stop ends the step and saves; another number of workers goes on", async () => {
    const long = { ...config, maxSteps: 60, saveSteps: 1000, evalSteps: 1000 } as const
    const task = taskIn(workspace, "stopped", long)
    let asked = false
    const { last } = await runChild(task, {
      onEvent: (event, child) => {
        if (asked || event._tag !== "Progress") return
        asked = true
        child.send({ type: "stop" })
      }
    })
    expect(last).toMatchObject({ type: "failed", error: { _tag: "InterruptedError" } })
    const again = await runChild({ ...task, config: { ...task.config, workers: 2 } })
    expect(again.last).toMatchObject({ type: "done" })
    const alone = taskIn(workspace, "not stopped", { ...long, workers: 1 })
    await runHere(alone)
    expect(outputsDigest(task)).toBe(outputsDigest(alone))
  })
})
