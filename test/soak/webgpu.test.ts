// Every family and method trained on WebGPU against the CPU, where there is a WebGPU device.
import { describe, test } from "vitest"
import { families, methods } from "../devices/cases.ts"
import { compare } from "../devices/train.ts"
import { hasWebgpu } from "../devices/webgpu.ts"

describe.skipIf(!hasWebgpu).each(families)("%s", (family) => {
  test.each(Object.keys(methods))("%s: the losses of 6 steps, the weights after them", (name) =>
    compare({ family, method: methods[name]! })
  )
})
