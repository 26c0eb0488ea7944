// Gradient checkpointing in the train stage: less memory, and not one byte of the result changes.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { full, ia3, lora, prefix, promptTuning, qlora } from "#src/adapters/options.ts"
import { makeWorkspace, runHere, taskIn, weightsDigest, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeAll(async () => {
  workspace = await makeWorkspace()
})
afterAll(() => workspace.clear())

const dropouts = { attentionDropout: 0.1, residualDropout: 0.1 }
test.each([
  ["full", full(), dropouts],
  ["lora", lora({ r: 4, loraDropout: 0.1, targetModules: "all-linear" }), { packing: true }],
  ["dora", lora({ r: 4, useDora: true }), {}],
  ["ia3", ia3(), {}],
  ["qlora", qlora({ r: 4 }), {}],
  ["prefix", prefix({ numVirtualTokens: 3 }), {}],
  ["prefix with projection", prefix({ numVirtualTokens: 3, projection: true }), { ...dropouts, packing: true }],
  ["virtual tokens", promptTuning({ numVirtualTokens: 3 }), dropouts]
])("%s gives the same bytes with and without", async (name, method, more) => {
  const digests = []
  for (const gradientCheckpointing of [false, true]) {
    const options = { method, batchSize: 4, epochs: 1, learningRate: 0.01, gradientCheckpointing, ...more }
    const task = taskIn(workspace, `${name} ${gradientCheckpointing}`, options as never)
    await runHere(task)
    digests.push(`${weightsDigest(task)} ${readFileSync(join(task.workDir, "out", "model", "anneal.json"), "utf8")}`)
  }
  expect(digests[1]).toBe(digests[0])
})
