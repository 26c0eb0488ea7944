// Training on a GPU, stopped and resumed. Its figures against the CPU's: stage.test.ts, and for every method of every family and options besides,
// test/soak/gpu*.test.ts (npm run soak): compiling WebGPU's shaders in software takes seconds a graph.
import { expect, test } from "vitest"
import { methods } from "./cases.ts"
import { train } from "./train.ts"
import { hasCuda, onEachGpu } from "./gpus.ts"

// More weights than one block of threads adds the squares of, and tokens that occur again.
test.skipIf(!hasCuda)("on CUDA two runs end in the same bytes", async () => {
  const run = { family: "gpt2", method: methods["full"]!, device: "cuda" } as const
  const [first, second] = [await train(run), await train(run)]
  expect(second.values).toEqual(first.values)
  expect(second.after).toEqual(first.after)
})

onEachGpu((device) => {
  test("a run that is stopped goes on from its checkpoint", async () => {
    const run = { family: "tied", method: methods["ia3"]!, device, stepsPerRun: 2, steps: 4 } as const
    const name = `stopped on ${device}`
    const whole = await train(run)
    const first = await train({ ...run, name, stopAt: 2 })
    const rest = await train({ ...run, name })
    expect(first.values.length).toBe(2)
    // The journal of the resumed run has the steps of the first one too.
    expect(rest.values.map(({ loss }) => loss)).toEqual(whole.values.map(({ loss }) => loss))
    expect(rest.after).toEqual(whole.after)
  })
})
