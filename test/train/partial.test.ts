// Full fine-tuning of named tensors only: the others stay as they are, bit for bit, and cost no gradient.
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { encodeModel } from "#src/graph/onnx/encode.ts"
import { loadModel } from "#src/models/load.ts"
import { lossGraph } from "#src/runtime/TrainGraph.ts"
import { tune, tuningOf } from "#src/runtime/Tuning.ts"
import { fullMethod } from "../adapters/method.ts"
import { makeWorkspace, runHere, taskIn, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeEach(async () => {
  workspace = await makeWorkspace()
})
afterEach(() => workspace.clear())

const base = (): string => workspace.inputs["base"]?.path as string

test.each([
  ["the last layer", ["model.layers.1.*"], /^model\.layers\.1\./],
  ["the embedding, which is the head too", ["lm_head.weight"], /^model\.embed_tokens\.weight$/],
  ["norms and one matrix", ["*norm.weight", "model.layers.0.mlp.up_proj.weight"], /norm\.weight$|0\.mlp\.up_proj\.weight$/]
] as const)("%s", async (_, trainable, expected) => {
  const task = taskIn(workspace, "part", { maxSteps: 2, learningRate: 1e-2, method: { type: "full", trainable } })
  await runHere(task)
  const [before, after] = [await loadModel(base()), await loadModel(join(task.workDir, "out", "model"))]
  const changed = before.model.parameters
    .map(({ name }) => name)
    .filter((name) => {
      const old = before.weights.read(name)
      return after.weights.read(name).some((x, i) => !Object.is(x, old[i]))
    })
  expect(changed).toEqual(before.model.parameters.map(({ name }) => name).filter((name) => expected.test(name)))
})

test("no gradient is computed for frozen tensors, nor below the first trained one", async () => {
  const { model, weights } = await loadModel(base())
  const bytes = (trainable?: readonly [string, ...string[]]) => {
    const tuning = tuningOf(model, fullMethod(trainable === undefined ? {} : { trainable }), 1)
    const tuned = tune(tuning, weights, { accumulates: false, seed: 0 })
    const { graph } = lossGraph(model, tuned, 2, { length: 16, targets: 8 }, { training: true })
    const gradients = graph.outputs.filter(({ name }) => name.startsWith("gradient.")).map(({ name }) => name.slice("gradient.".length))
    return { size: encodeModel(graph).length, gradients }
  }
  const [all, last, head] = [bytes(), bytes(["model.layers.1.*"]), bytes(["model.norm.weight"])]
  expect(all.gradients.length).toBe(model.parameters.length)
  expect(last.gradients.every((name) => name.startsWith("model.layers.1."))).toBe(true)
  expect(head.gradients).toEqual(["model.norm.weight"])
  expect(last.size).toBeLessThan(0.85 * all.size)
  expect(head.size).toBeLessThan(0.6 * all.size)
})
