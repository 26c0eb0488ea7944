// Options of training on WebGPU beside the methods: dropout, accumulation, optimizers; each against the same training on the CPU.
import { describe, test } from "vitest"
import { optimizerDefaults } from "#src/graph/optimizer.ts"
import { methods } from "../devices/cases.ts"
import { compare } from "../devices/train.ts"
import { hasWebgpu } from "../devices/webgpu.ts"

describe.skipIf(!hasWebgpu)("WebGPU", () => {
  test("lora, with dropout", () => compare({ family: "gpt2", method: methods["lora"]!, dropout: true }))
  test("several micro-batches a step and a pull towards the base", () =>
    compare({ family: "tied", method: methods["lora"]!, accumulation: 2, l2ToBase: 0.1, steps: 4 }))

  test.each([optimizerDefaults.lion, { ...optimizerDefaults.sgd, momentum: 0.9 }, optimizerDefaults.adafactor])(
    "optimizer $kind",
    (optimizer) => compare({ family: "tied", method: methods["ia3"]!, steps: 3, optimizer })
  )
})
