// The loop itself, with a learner of three weights whose gradients are plain arithmetic: counts, validation, best model,
// stopping and resuming at every step.
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { InterruptedError } from "#src/domain/Errors.ts"
import { openTensorFile } from "#src/models/weights.ts"
import { Checkpoints } from "#src/runtime/Checkpoint.ts"
import { type Optimizer, optimizerDefaults } from "#src/graph/optimizer.ts"
import { tensorRates } from "#src/runtime/rates.ts"

import { count, folder, learner, metric, order, run, type Outcome } from "./training.ts"

test("nine steps: logged every two and at the end, validated and saved each epoch", async () => {
  const { trained, events } = await run(learner([3, 2, 1]))
  expect(trained).toMatchObject({ modelStep: 9, state: { step: 9, tokens: 57, misses: 0, best: { step: 9, loss: 1 } } })
  expect(metric(events, "loss").length).toBe(5)
  expect(metric(events, "learningRate").at(-1)).toBeGreaterThan(0)
  expect(metric(events, "epoch").at(-1)).toBe(3)
  expect(metric(events, "validationLoss")).toEqual([3, 2, 1])
  expect(count(events, "Saved")).toBe(3)
  expect(readdirSync(folder()).sort()).toEqual(["step-6", "step-9"])
})

test("a disk without room for two checkpoints more is told once", async () => {
  class OnDisk extends Checkpoints {
    readonly left: number
    constructor(left: number) {
      super(folder(), () => undefined)
      this.left = left
    }
    override room(): number {
      return this.left
    }
  }
  const alerts = ({ events }: Outcome) => events.filter((event) => event._tag === "Alert")
  const [first] = alerts(await run(learner([3, 2, 1]), {}, Infinity, new OnDisk(1000)))
  expect(first).toMatchObject({
    kind: "low-disk",
    step: 3,
    detail: expect.stringMatching(/^the disk has 1.0 kB left, and a checkpoint takes /)
  })
  rmSync(folder(), { recursive: true })
  expect(alerts(await run(learner([3, 2, 1]), {}, Infinity, new OnDisk(1000)))).toHaveLength(1)
  rmSync(folder(), { recursive: true })
  expect(alerts(await run(learner([3, 2, 1]), {}, Infinity, new OnDisk(1e6)))).toEqual([])
})

test("without validation the last weights are the result", async () => {
  const { trained } = await run(learner())
  expect(trained).toMatchObject({ modelStep: 9, state: { best: null, validations: [] } })
})

describe("best model", () => {
  test("the weights with the lowest validation loss come back, and their checkpoint is kept", async () => {
    // The questions before it: six steps, two validations.
    const atSix = await run(learner([3, 1, 2]), {}, 9)
    expect(atSix.error).toMatchObject({ message: "stopped after step 6 of 9; a checkpoint is saved" })
    rmSync(folder(), { recursive: true })
    const whole = await run(learner([3, 1, 2]))
    expect(whole.trained).toMatchObject({ modelStep: 6, state: { step: 9 } })
    expect(whole.weights).toEqual(atSix.weights)
    expect(readdirSync(folder()).sort()).toEqual(["step-6", "step-9"])
    rmSync(folder(), { recursive: true })
    const last = await run(learner([3, 1, 2]), { loadBestModelAtEnd: false })
    expect(last.trained?.modelStep).toBe(9)
    expect(last.weights).not.toEqual(whole.weights)
  })

  test("early stopping ends the run after so many validations without improvement", async () => {
    const { trained, events } = await run(learner([3, 4, 5, 1, 1]), { evalSteps: 2, earlyStoppingPatience: 2 })
    expect(trained).toMatchObject({ modelStep: 2, state: { step: 6, misses: 2 } })
    expect(metric(events, "validationLoss")).toEqual([3, 4, 5])
  })
})

describe("resume", () => {
  test("a stop at any point, then the same command again, ends in the same bytes and sums", async () => {
    const whole = await run(learner([]), { evalSteps: 2, saveSteps: 4 })
    const questions = 9 + 5
    for (let stopAt = 1; stopAt <= questions; stopAt++) {
      rmSync(folder(), { recursive: true })
      const first = await run(learner([]), { evalSteps: 2, saveSteps: 4 }, stopAt)
      expect(first.error).toBeInstanceOf(InterruptedError)
      const second = await run(learner([]), { evalSteps: 2, saveSteps: 4 })
      expect([stopAt, second.weights, second.trained]).toEqual([stopAt, whole.weights, whole.trained])
      expect(count(second.events, "Resumed")).toBe(stopAt === 1 ? 0 : 1)
      // The resumed run tells the figures of the steps before it, so that its journal has the whole curve.
      for (const name of ["loss", "validationLoss"]) expect(metric(second.events, name)).toEqual(metric(whole.events, name))
    }
  })

  const optimizers: readonly Optimizer[] = [
    optimizerDefaults.lion,
    optimizerDefaults.sgd,
    { kind: "sgd", momentum: 0.9 },
    optimizerDefaults.adafactor
  ]
  test.each(optimizers)("$kind, momentum $momentum: the same, from exactly the state that it keeps", async (optimizer) => {
    const of = () => learner(undefined, undefined, optimizer)
    const whole = await run(of())
    rmSync(folder(), { recursive: true })
    expect((await run(of(), {}, 6)).error).toBeInstanceOf(InterruptedError)
    const saved = openTensorFile(join(folder(), "step-5", "optimizer.safetensors"))
    const { trainables } = of().store
    expect([...saved.keys()]).toEqual(trainables[0]?.state.map(({ key }) => `${key}.w`))
    const second = await run(of())
    expect([second.weights, second.trained?.state]).toEqual([whole.weights, whole.trained?.state])
  })

  test("a finished run resumed from its last checkpoint does nothing again", async () => {
    const whole = await run(learner([]))
    const again = await run(learner([]))
    expect([again.weights, again.trained]).toEqual([whole.weights, whole.trained])
    expect(count(again.events, "Progress")).toBe(0)
  })
})

test("a step without a trained token changes nothing and says so", async () => {
  const who = learner()
  for (const row of order.group(4).flat()) who.sizes.targets[row] = 0
  const { trained } = await run(who, { loggingSteps: 1 })
  expect(trained?.state.alerts.filter(({ step }) => step === 5)).toMatchObject([
    { kind: "no-targets", detail: expect.stringContaining("step 5 has no trained token") }
  ])
  expect(trained?.log.get(4, "tokens")).toBe(0)
})

test("groups of tensors learn at rates of their own; a tensor's own factor gives way to them", () => {
  const specs = [
    { name: "layers.0.lora_A.weight", shape: [2], decay: true },
    { name: "layers.0.lora_B.weight", shape: [2], decay: true, learningRateScale: 16 },
    { name: "layers.1.lora_B.weight", shape: [2], decay: true, learningRateScale: 16 },
    { name: "layers.0.norm", shape: [2], decay: false }
  ]
  const parameterGroups = [
    { match: ["*.0.lora_B.*"], learningRate: 0.3, weightDecay: 0.5 },
    { match: ["layers.0.*", "nothing"], learningRateScale: 2, weightDecay: 0.7 }
  ]
  const rates = tensorRates({ learningRate: 0.1, weightDecay: 0.01, parameterGroups }, specs)(0.05)
  expect(specs.map((spec) => rates(spec))).toEqual([
    { learningRate: 0.1, weightDecay: 0.7 },
    { learningRate: expect.closeTo(0.15, 15) as number, weightDecay: 0.5 },
    { learningRate: 0.8, weightDecay: 0.01 },
    { learningRate: 0.1, weightDecay: 0 }
  ])
})
