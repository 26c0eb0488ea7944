// Training on WebGPU, whose state stays on the device: against the same training on the CPU, and stopped and resumed.
import { describe, expect, test } from "vitest"
import { lower } from "#src/graph/onnx/lower.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { Session } from "#src/runtime/Session.ts"
import { difference, graphCase, methods } from "./cases.ts"
import { compare, train } from "./train.ts"
import { hasWebgpu } from "./webgpu.ts"

// Every method of every family, and options besides, are trained in test/soak/webgpu*.test.ts (npm run soak): compiling the shaders in software takes seconds a graph.
describe.skipIf(!hasWebgpu)("WebGPU", () => {
  test("gpt2: the loss and every gradient are the CPU's", async () => {
    const { graph, feeds, outputs } = await graphCase("gpt2", methods["full"]!)
    const results = await Promise.all(
      (["cpu", "webgpu"] as const).map(async (device) => {
        const session = await Session.create(encode(lower(graph, device)), { threads: 1, device })
        const found = await session.run(feeds, outputs)
        await session.release()
        return found
      })
    )
    expect(difference(results[0]!, results[1]!)).toBeLessThan(1e-4)
  })

  test("full, with a validation", () => compare({ family: "untied", method: methods["full"]!, validated: true }))

  test("a run that is stopped goes on from its checkpoint", async () => {
    const run = { family: "tied", method: methods["ia3"]!, device: "webgpu", steps: 4 } as const
    const whole = await train(run)
    const first = await train({ ...run, name: "stopped", stopAt: 2 })
    const rest = await train({ ...run, name: "stopped" })
    expect(first.values.length).toBe(2)
    // The journal of the resumed run has the steps of the first one too.
    expect(rest.values.map(({ loss }) => loss)).toEqual(whole.values.map(({ loss }) => loss))
    expect(rest.after).toEqual(whole.after)
  })
})
