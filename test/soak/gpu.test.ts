// Every family and method trained on each GPU of the machine against the CPU.
import { describe, test } from "vitest"
import { families, methods } from "../devices/cases.ts"
import { compare } from "../devices/train.ts"
import { onEachGpu } from "../devices/gpus.ts"

onEachGpu((device) => {
  describe.each(families)("%s", (family) => {
    test.each(Object.keys(methods))("%s: the losses of 6 steps, the weights after them", (name) =>
      compare(device, { family, method: methods[name]! })
    )
  })
})
