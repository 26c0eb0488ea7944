// `npm run soak`: training killed at random moments, again and again, must end in the bytes of a run left alone: weights and log.
// ANNEAL_SOAK_SEED repeats a run's moments, ANNEAL_SOAK_KILLS says how many of them each method gets (default 20). Prints a table.
import { afterAll, beforeAll, expect, test } from "vitest"
import { uniform } from "#src/domain/random.ts"
import { type MethodName, methods } from "../train/methods.ts"
import { makeWorkspace, outputsDigest, runChild, runHere, taskIn, type Workspace } from "../train/workspace.ts"

const seed = Number(process.env["ANNEAL_SOAK_SEED"] ?? Date.now() % 2 ** 32)
const wanted = Number(process.env["ANNEAL_SOAK_KILLS"] ?? 20)
console.log(`soak: ANNEAL_SOAK_SEED=${seed} ANNEAL_SOAK_KILLS=${wanted}`)

const options = {
  batchSize: 2,
  gradientAccumulationSteps: 3,
  epochs: 60,
  learningRate: 0.01,
  evalSteps: 5,
  saveSteps: 3,
  saveTotalLimit: 3
} as const
/** Milliseconds in which a process is struck, from its first step on; one in four from its first event on, which strikes the start. */
const reach = 1500

const cases = [
  ...(Object.keys(methods) as MethodName[]).map((name) => ({ name, method: name, workers: 1 })),
  { name: "lora, 3 workers", method: "lora", workers: 3 } as const
]

let workspace: Workspace
const table: string[] = ["| seed | method | kills | trainings | steps gone on from | equal |", "| --- | --- | --- | --- | --- | --- |"]
beforeAll(async () => {
  workspace = await makeWorkspace()
})
afterAll(() => {
  workspace.clear()
  console.log(table.join("\n"))
})

test.each(cases)("$name", async ({ name, method, workers }) => {
  const config = { ...options, ...methods[method] }
  const alone = taskIn(workspace, `${name}-alone`, config)
  await runHere(alone)
  const expected = outputsDigest(alone)
  const stream = cases.findIndex((each) => each.name === name)
  let [kills, trainings, equal, moments] = [0, 0, 0, 0]
  const resumed: number[] = []
  while (kills < wanted) {
    const task = taskIn(workspace, `${name}-${trainings}`, { ...config, workers })
    for (;;) {
      // From the first step: workers need longer than `reach` to start, and a training that is only struck while it starts never gets on.
      const [delay, atStart] = [reach * uniform(seed, stream, moments++), uniform(seed, stream, moments++) < 0.25]
      let timer: NodeJS.Timeout | undefined
      const { last, events } = await runChild(task, {
        onEvent: ({ _tag }, child) => {
          if (kills < wanted && (atStart || _tag === "Progress")) timer ??= setTimeout(() => child.kill("SIGKILL"), delay)
        }
      })
      clearTimeout(timer)
      for (const event of events) if (event._tag === "Resumed") resumed.push(event.step)
      if (last?.type === "done") break
      expect(last).toBeUndefined()
      kills++
    }
    trainings++
    if (outputsDigest(task) === expected) equal++
  }
  table.push(`| ${seed} | ${name} | ${kills} | ${trainings} | ${resumed.join(" ")} | ${equal} of ${trainings} |`)
  expect(equal).toBe(trainings)
})
