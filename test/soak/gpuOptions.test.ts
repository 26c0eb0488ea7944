// Options of training on a GPU beside the methods: a validation, dropout, accumulation, optimizers; each against the same training on the CPU.
import { expect, test } from "vitest"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { optimizerDefaults } from "#src/graph/optimizer.ts"
import { Session } from "#src/runtime/Session.ts"
import { difference, graphCase, methods } from "../devices/cases.ts"
import { misplaced } from "../devices/misplaced.ts"
import { compare } from "../devices/train.ts"
import { onEachGpu } from "../devices/gpus.ts"

onEachGpu((device) => {
  test("gpt2: the loss and every gradient are the CPU's", async () => {
    const { graph, feeds, outputs } = await graphCase("gpt2", methods["full"]!)
    const results = await Promise.all(
      (["cpu", device] as const).map(async (target) => {
        const session = await Session.create(encode(lower(graph, target)), { threads: 1, device: target })
        const found = await session.run(feeds, outputs)
        await session.release()
        return found
      })
    )
    expect(difference(results[0]!, results[1]!)).toBeLessThan(1e-4)
  })

  test("full, with a validation", () => compare(device, { family: "untied", method: methods["full"]!, validated: true }))

  test.each(["lora", "qlora", "prefix"])("%s: each node runs where the table of kernels says", async (method) => {
    expect(await misplaced("untied", method, device)).toEqual([])
  })

  test("lora, with dropout", () => compare(device, { family: "gpt2", method: methods["lora"]!, dropout: true }))
  test("several micro-batches a step and a pull towards the base", () =>
    compare(device, { family: "tied", method: methods["lora"]!, accumulation: 2, l2ToBase: 0.1, steps: 4 }))

  test.each([optimizerDefaults.lion, { ...optimizerDefaults.sgd, momentum: 0.9 }, optimizerDefaults.adafactor])(
    "optimizer $kind",
    (optimizer) => compare(device, { family: "tied", method: methods["ia3"]!, steps: 3, optimizer })
  )
})
