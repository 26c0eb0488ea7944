// Several optimizer steps in one run, as they are made on CUDA: here on the CPU, where the same loop gives the same bits however many steps a
// run has, and the numbers of steps made one by one.
import { describe, expect, test } from "vitest"
import { decodeModel } from "#src/graph/onnx/decode.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { placement } from "#src/graph/onnx/placement.ts"
import { optimizerDefaults } from "#src/graph/optimizer.ts"
import { validateModel } from "#src/graph/validate.ts"
import { blocksOf } from "#src/runtime/blocks.ts"
import { factorName, factorNames, wholeStepGraph } from "#src/runtime/stateGraphs.ts"
import { stepLoop } from "#src/runtime/stepLoop.ts"
import { driftOf } from "../train/parity.ts"
import { runGraph } from "../graph/runGraph.ts"
import { graphCase, methods } from "./cases.ts"
import { type Run, train } from "./train.ts"

const runs: Readonly<Record<string, Omit<Run, "device">>> = {
  full: { family: "untied", method: methods["full"]! },
  "full, several micro-batches": { family: "tied", method: methods["full"]!, accumulation: 3 },
  "lora with dropout": { family: "gemma3_text", method: methods["lora"]!, accumulation: 2, dropout: true },
  "lora, packed": { family: "mistral", method: methods["lora"]!, accumulation: 2, packed: true },
  qlora: { family: "mistral", method: methods["qlora"]! },
  "prefix, pulled to the base": { family: "qwen3", method: methods["prefix"]!, l2ToBase: 0.1 },
  "lion, gpt2": { family: "gpt2", method: methods["full"]!, optimizer: optimizerDefaults.lion },
  "float16 products over a scaled loss": { family: "qwen2", method: methods["full"]!, products: "float16" },
  adafactor: { family: "tied", method: methods["full"]!, optimizer: { ...optimizerDefaults.adafactor, scaleParameter: false } }
}

const weights = ({ after }: Awaited<ReturnType<typeof train>>) => after.map(({ p }) => p)

describe.each(Object.entries(runs))("%s", (_, run) => {
  test("1, 4 or 5 steps a run end in the same bits, and near steps that are made one by one", async () => {
    const [one, four, five] = await Promise.all(
      [1, 4, 5].map((stepsPerRun) => train({ ...run, steps: 7, device: "cpu", stepsPerRun, validated: true }))
    )
    expect(four!.values).toEqual(one!.values)
    expect(four!.validations).toEqual(one!.validations)
    expect(four!.after).toEqual(one!.after)
    expect(five!.after).toEqual(one!.after)
    const single = await train({ ...run, steps: 7, device: "cpu", validated: true })
    expect(one!.values).toHaveLength(7)
    for (const [i, { loss, gradNorm }] of single.values.entries()) {
      expect(Math.abs(one!.values[i]!.loss - loss)).toBeLessThan(2e-5)
      // Null, which counts as 0, where the step was skipped.
      expect(Math.abs(one!.values[i]!.gradNorm - gradNorm)).toBeLessThanOrEqual(1e-3 * gradNorm)
    }
    expect(driftOf(weights(single), weights(one!), single.before)).toBeLessThan(5e-3)
  })
})

test("a stop is heeded between two runs, and the next goes on in the same bits", async () => {
  const run = { ...runs["lora with dropout"]!, device: "cpu", accumulation: 1, steps: 9, stepsPerRun: 3 } as const
  const whole = await train(run)
  // Asked for after the first step, when the run has made the second too; the third has another shape.
  const first = await train({ ...run, name: "loop", stopAt: 1 })
  const rest = await train({ ...run, name: "loop" })
  expect(first.values.length).toBe(2)
  expect(rest.values).toEqual(whole.values)
  expect(rest.after).toEqual(whole.after)
})

test("a step that is not finite changes nothing, nor does any behind it in the run", async () => {
  const graph = wholeStepGraph({ optimizer: optimizerDefaults.adamw, maxGradNorm: 1, anchored: false, scaled: false }, [
    { name: "w", shape: [2], group: 0 }
  ])
  const factors = Object.fromEntries(factorNames(optimizerDefaults.adamw).map((name) => [factorName(0, name), Float32Array.of(0.5)]))
  const held = { "p.w": Float32Array.of(1, 2), "m.w": Float32Array.of(3, 4), "v.w": Float32Array.of(5, 6) }
  const step = (g: readonly number[], nll: number, alive: number) =>
    runGraph(graph, { ...held, ...factors, "g.w": Float32Array.from(g), nll: Float32Array.of(nll), alive: Float32Array.of(alive) })
  for (const [g, nll, alive] of [
    [[1, Number.NaN], 1, 1],
    [[Infinity, 1], 1, 1],
    [[1, 1], -Infinity, 1],
    [[1, 1], 1, 0]
  ] as const) {
    const found = await step(g, nll, alive)
    expect([found["new.p.w"], found["new.m.w"], found["new.v.w"], found["new.alive"]]).toEqual([...Object.values(held), Float32Array.of(0)])
  }
  const found = await step([1, 1], 1, 1)
  expect(found["new.alive"]).toEqual(Float32Array.of(1))
  expect(found["new.p.w"]).not.toEqual(held["p.w"])
})

test.each([1, 3])(
  "the loop's model with %i micro-batches a step is valid, survives encoding, and has a CUDA kernel for each node",
  async (micros) => {
    const { graph } = await graphCase("tied", methods["full"]!, { dropout: true })
    const tensors = graph.outputs.flatMap(({ name, value }) =>
      name.startsWith("gradient.") ? [{ name: name.slice(9), shape: value.shape, group: 0 }] : []
    )
    const blocks = blocksOf(optimizerDefaults.adamw, tensors)
    const update = wholeStepGraph({ optimizer: optimizerDefaults.adamw, maxGradNorm: 1, anchored: true, scaled: true }, blocks)
    const trained = new Set(tensors.map(({ name }) => name))
    const model = stepLoop({
      micro: lower(graph, "cuda"),
      update: lower(update, "cuda"),
      blocks,
      kinds: () => ["p", "m", "v"],
      batch: graph.inputs.map(({ name }) => name).filter((name) => name !== "scale" && !trained.has(name)),
      perStep: ["scale", "unscale", ...factorNames(optimizerDefaults.adamw).map((name) => factorName(0, name))],
      steps: 4,
      micros
    })
    expect(validateModel(model)).toEqual([])
    expect(decodeModel(encode(model))).toEqual(model)
    const placed = placement(model, "cuda")
    expect(placed.filter(({ place }) => place !== "device").map(({ node, type }) => `${node.opType} ${type}`)).toEqual([])
    expect(placed.filter(({ node }) => node.opType === "Loop")).toHaveLength(micros > 1 ? 2 : 1)
    expect(placed.length).toBeGreaterThan(graph.nodes.length / 2)
  }
)

test("tensors of one group are joined as rows that divide them all; where that takes too many rows, others are", () => {
  const tensor = (name: string, size: number, group = 0) => ({ name, shape: [size], group })
  const large = 2 ** 20 * 6
  const tensors = [
    tensor("a", 12),
    tensor("odd", large + 1),
    tensor("b", 18),
    tensor("other", 6, 1),
    tensor("large", large),
    tensor("c", 9)
  ]
  const blocks = blocksOf(optimizerDefaults.adamw, tensors)
  expect(blocks.map(({ shape, tensors }) => ({ shape, of: tensors.map(({ name }) => name) }))).toEqual([
    { shape: [13, 3], of: ["a", "b", "c"] },
    { shape: [large + 1], of: ["odd"] },
    { shape: [6], of: ["other"] },
    { shape: [large], of: ["large"] }
  ])
  const [wide] = blocksOf(optimizerDefaults.adamw, [tensor("embedding", 49152 * 576), tensor("norm", 576)])
  expect(wide!.shape).toEqual([49153, 576])
  expect(blocksOf(optimizerDefaults.adafactor, tensors)).toHaveLength(tensors.length)
})
