// Training killed at every kind of point and started again ends in the same bytes as training left alone. The stage runs
// in its own process here, as the engine runs it, and dies by SIGKILL.
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { makeWorkspace, runChild, runHere, taskIn, weightsDigest, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeAll(async () => {
  workspace = await makeWorkspace()
})
afterAll(() => workspace.clear())

/** Two shuffled epochs of three accumulated steps, validated and saved every second step. */
const options = { batchSize: 4, gradientAccumulationSteps: 2, epochs: 2, learningRate: 0.02, weightDecay: 0.1, evalSteps: 2 } as const
const lora = { type: "lora", r: 4, loraAlpha: 8, loraDropout: 0.1, targetModules: "all-linear" } as const
/** Everything that draws random numbers or needs the weights of the start, over packed rows of one or two documents. */
const random = {
  ...{ batchSize: 2, packing: true, packLength: 40 },
  ...{ attentionDropout: 0.1, residualDropout: 0.1, embeddingDropout: 0.1, neftuneNoiseAlpha: 5 },
  ...{ labelSmoothingFactor: 0.1, l2ToBase: 0.1 }
} as const
const { packing: _, packLength: __, ...unpacked } = random
const methods = {
  full: { method: { type: "full" } },
  "lora with dropout": { method: lora },
  "full, packed, with all regularisation": { method: { type: "full" }, ...random },
  "lora, packed, with all regularisation": { method: lora, ...random },
  "prefix with projection, packed, with all regularisation": {
    method: { type: "prefix", numVirtualTokens: 4, projection: true, encoderHiddenSize: 8 },
    ...random
  },
  "virtual tokens, with all regularisation": {
    method: { type: "promptTuning", numVirtualTokens: 4 },
    ...unpacked
  }
} as const
const points = [
  "mid-accumulation@1",
  "mid-accumulation@5",
  "during-evaluation@1",
  "during-evaluation@3",
  "between-checkpoint-files@1",
  "between-checkpoint-files@2",
  "before-rename@2",
  "after-rename@1",
  "after-rename@3"
]
/** Each of these strikes a run that the ones before have struck, so the counts start anew from its last checkpoint. */
const inOneRun = [
  "mid-accumulation@2",
  "between-checkpoint-files@1",
  "during-evaluation@2",
  "after-rename@1",
  "before-rename@1",
  "mid-accumulation@1"
]

describe.each(Object.keys(methods) as (keyof typeof methods)[])("%s", (method) => {
  const config = { ...options, ...methods[method] }
  let undisturbed = ""
  beforeAll(async () => {
    const task = taskIn(workspace, `${method}-alone`, config)
    await runHere(task)
    undisturbed = weightsDigest(task)
  })

  // Each point in a run of its own for one of them; for the others several strike one run, one after the other.
  const runs = method === "lora with dropout" ? points.map((point) => [point]) : [inOneRun]
  test.each(runs.map((faults) => [faults.length === 1 ? (faults[0] as string) : "several points of one run", faults] as const))(
    "killed at %s",
    async (name, faults) => {
      const task = taskIn(workspace, `${method}-${name}`, config)
      const signals: (string | null)[] = []
      for (const fault of faults) signals.push((await runChild(task, { fault })).signal)
      expect(signals).toEqual(faults.map(() => "SIGKILL"))
      const { last } = await runChild(task)
      expect(last).toMatchObject({ type: "done" })
      expect(weightsDigest(task)).toBe(undisturbed)
    }
  )
})
