// `npm run soak`: training killed at random moments, again and again, must end in the bytes of a run left alone.
// ANNEAL_SOAK_SEED repeats a run's moments, ANNEAL_SOAK_ROUNDS sets how many runs there are (default 10).
import { afterAll, beforeAll, expect, test } from "vitest"
import { uniform } from "#src/domain/random.ts"
import { makeWorkspace, runChild, runHere, taskIn, weightsDigest, type Workspace } from "../train/workspace.ts"

const seed = Number(process.env["ANNEAL_SOAK_SEED"] ?? Date.now() % 2 ** 32)
const rounds = Number(process.env["ANNEAL_SOAK_ROUNDS"] ?? 10)
console.log(`soak: ANNEAL_SOAK_SEED=${seed} ANNEAL_SOAK_ROUNDS=${rounds}`)

const options = {
  batchSize: 2,
  gradientAccumulationSteps: 3,
  epochs: 60,
  learningRate: 0.01,
  evalSteps: 5,
  saveSteps: 3,
  saveTotalLimit: 3
} as const
const methods = [{ type: "full" }, { type: "lora", r: 4, loraAlpha: 8, loraDropout: 0.1, targetModules: "all-linear" }] as const

let workspace: Workspace
beforeAll(async () => {
  workspace = await makeWorkspace()
})
afterAll(() => workspace.clear())

test.each(methods)("$type", async (method) => {
  const alone = taskIn(workspace, `${method.type}-alone`, { ...options, method })
  await runHere(alone)
  const expected = weightsDigest(alone)
  for (let round = 0; round < rounds; round++) {
    const task = taskIn(workspace, `${method.type}-${round}`, { ...options, method })
    let kills = 0
    for (let attempt = 0; ; attempt++) {
      // Counted from the first event, so that slow starts are not all that is struck.
      const delay = 1500 * uniform(seed, round, attempt)
      let timer: NodeJS.Timeout | undefined
      const { last } = await runChild(task, { onEvent: (_, child) => (timer ??= setTimeout(() => child.kill("SIGKILL"), delay)) })
      clearTimeout(timer)
      if (last?.type === "done") break
      expect(last).toBeUndefined()
      kills++
    }
    console.log(`${method.type} round ${round}: killed ${kills} times`)
    expect(weightsDigest(task)).toBe(expected)
  }
})
