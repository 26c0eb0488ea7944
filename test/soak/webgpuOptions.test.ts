// Options of training on WebGPU beside the methods: a validation, dropout, accumulation, optimizers; each against the same training on the CPU.
import { describe, expect, test } from "vitest"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { optimizerDefaults } from "#src/graph/optimizer.ts"
import { Session } from "#src/runtime/Session.ts"
import { difference, graphCase, methods } from "../devices/cases.ts"
import { misplaced } from "../devices/misplaced.ts"
import { compare } from "../devices/train.ts"
import { hasWebgpu } from "../devices/webgpu.ts"

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

  test.each(["lora", "qlora", "prefix"])("%s: each node runs where the table of kernels says", async (method) => {
    expect(await misplaced("untied", method)).toEqual([])
  })

  test("lora, with dropout", () => compare({ family: "gpt2", method: methods["lora"]!, dropout: true }))
  test("several micro-batches a step and a pull towards the base", () =>
    compare({ family: "tied", method: methods["lora"]!, accumulation: 2, l2ToBase: 0.1, steps: 4 }))

  test.each([optimizerDefaults.lion, { ...optimizerDefaults.sgd, momentum: 0.9 }, optimizerDefaults.adafactor])(
    "optimizer $kind",
    (optimizer) => compare({ family: "tied", method: methods["ia3"]!, steps: 3, optimizer })
  )
})
