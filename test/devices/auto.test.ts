// What device: "auto" is settled as, on a machine with CUDA and on one without.
import { expect, test, vi } from "vitest"
import type { AutoDevice } from "#src/runtime/autoDevice.ts"
import { Session } from "#src/runtime/Session.ts"
import { settle as settleEvaluate } from "#stages/evaluate/settle.ts"
import { EvaluateConfig } from "#stages/evaluate/stage.ts"
import { settle } from "#stages/train/settle.ts"
import { TrainConfig } from "#stages/train/stage.ts"
import * as Schema from "effect/Schema"
import { hasCuda } from "./gpus.ts"

const { autoDevice } = await vi.importActual<{ autoDevice: (env: NodeJS.ProcessEnv) => AutoDevice }>("#src/runtime/autoDevice.ts")
vi.mock("#src/runtime/autoDevice.ts", () => ({ autoDevice: () => ({ device: "cuda", why: "a test says so" }) }))

test.each(["", "-1"])("CUDA_VISIBLE_DEVICES=%j: the CPU", (hidden) => {
  expect(autoDevice({ CUDA_VISIBLE_DEVICES: hidden })).toEqual({ device: "cpu", why: "CUDA_VISIBLE_DEVICES hides every GPU" })
})

test("CUDA exactly where it can be used, and a reason", () => {
  const { device, why } = autoDevice({})
  expect(device).toBe(hasCuda ? "cuda" : "cpu")
  expect(why).toMatch(hasCuda ? /are here/ : /no NVIDIA driver|^CUDA lacks /)
})

test.each([
  [{}, "cuda"],
  [{ workers: 2, gradientAccumulationSteps: 2 }, "cuda"],
  [{ optimizer: "lion" }, "cuda"],
  [{ optimizer: "adafactor", scaleParameter: false }, "cuda"],
  // Its rates depend on weights that do not leave a GPU.
  [{ optimizer: "adafactor", scaleParameter: true }, "cpu"],
  [{ device: "webgpu" }, undefined]
] as const)("where CUDA is, a training with %j is settled on %s", async (options, device) => {
  const config = Schema.decodeUnknownSync(TrainConfig)({ learningRate: 1e-3, batchSize: 2, ...options })
  expect((await settle(config, {}, "train")).values).toEqual(device === undefined ? {} : { device })
})

test("where CUDA is, a training whose batch size is forecast stays on the CPU", async () => {
  const config = Schema.decodeUnknownSync(TrainConfig)({ learningRate: 1e-3, batchSize: "auto" })
  const inputs = { train: { producer: { id: "format", builtin: { kind: "format", config: { maxLength: 64 } } } }, base: {} }
  expect(await settle(config, inputs, "train")).toEqual({ values: { device: "cpu" }, open: ["batchSize"] })
})

test("an evaluation goes where CUDA is", () => {
  const config = Schema.decodeUnknownSync(EvaluateConfig)({ metrics: ["perplexity"] })
  expect(settleEvaluate(config).values).toEqual({ device: "cuda" })
})

test.skipIf(hasCuda)("a machine that cannot open CUDA is told what to do", async () => {
  await expect(Session.create(new Uint8Array(), { threads: 1, device: "cuda" })).rejects.toMatchObject({
    _tag: "EnvironmentError",
    hint: expect.stringContaining('device: "cpu"') as string
  })
})
