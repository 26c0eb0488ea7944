// Frozen weights in their files and in 16 bits: mapped, never copied, and what that changes of the numbers.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { full, lora } from "#src/adapters/options.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { loadModel } from "#src/models/load.ts"
import { saveModel } from "#src/models/save.ts"
import { freeze, frozenFeeds } from "#src/runtime/Frozen.ts"
import { heldAs } from "#src/runtime/halves.ts"
import { makeWorkspace, runHere, taskIn, weightsDigest, type Workspace } from "./workspace.ts"

let workspace: Workspace
beforeAll(async () => {
  workspace = await makeWorkspace()
})
afterAll(() => workspace.clear())

const base = (): string => workspace.inputs["base"]?.path as string
const options = { method: lora({ r: 4, targetModules: "all-linear" }), batchSize: 4, epochs: 1, learningRate: 0.01 }
type Options = Parameters<typeof taskIn>[2]
const trained = async (name: string, more: Options = {}, inputs: Workspace["inputs"] = workspace.inputs) => {
  const task = taskIn({ ...workspace, inputs }, name, { ...options, ...more } as Options)
  const { metrics } = await runHere(task)
  return { digest: weightsDigest(task), loss: metrics?.["trainLoss"] as number }
}

test("loading a model copies nothing: every tensor of its files is mapped, in its own type", async () => {
  const { model, weights } = await loadModel(base())
  const frozen = freeze(model.parameters, weights)
  expect(frozenFeeds(frozen)).toEqual({})
  expect(new Set(frozen.map(({ form }) => form))).toEqual(new Set(["float32"]))
})

test("mapped weights, links to them, and weights that had to be read give the same bytes", async () => {
  const mapped = await trained("mapped")
  // As the hub's own cache lays models out: links that lead out of the folder; and shards in two places cannot be mapped both.
  const linked = join(workspace.folder, "linked")
  mkdirSync(linked)
  for (const file of readdirSync(base())) symlinkSync(join(base(), file), join(linked, file))
  const inputs = { ...workspace.inputs, base: { ...workspace.inputs["base"]!, path: linked } }
  expect(await trained("linked", {}, inputs)).toEqual(mapped)
})

test.each(["bfloat16", "float16"] as const)("a base that is stored as %s trains as its float32 copy does", async (dtype) => {
  const folder = mkdtempSync(join(tmpdir(), "anneal-halves-"))
  const { model } = await loadModel(base())
  const half = join(folder, "half")
  await saveModel(half, model, initialWeights(model, 8), dtype)
  const stored = await loadModel(half)
  const whole = join(folder, "whole")
  await saveModel(whole, model, stored.weights, "float32")
  const at = (path: string) => ({ ...workspace.inputs, base: { ...workspace.inputs["base"]!, path } })
  expect(freeze(model.parameters, stored.weights).every(({ form }) => form === dtype)).toBe(true)
  expect(await trained(`${dtype} stored`, {}, at(half))).toEqual(await trained(`${dtype} widened`, {}, at(whole)))
  rmSync(folder, { recursive: true })
})

test.each(["bfloat16", "float16"] as const)("dtype %s rounds frozen weights and halves their bytes", async (dtype) => {
  const { model, weights } = await loadModel(base())
  const folder = mkdtempSync(join(tmpdir(), "anneal-halves-"))
  const held = freeze(model.parameters, heldAs(dtype, model.parameters, weights, folder))
  const sum = (frozen: typeof held): number => frozen.reduce((total, { bytes }) => total + bytes, 0)
  expect(sum(held)).toBe(sum(freeze(model.parameters, weights)) / 2)
  const [exact, rounded] = [await trained(`${dtype} off`), await trained(dtype, { dtype } as Options)]
  expect(rounded.digest).not.toBe(exact.digest)
  expect(Math.abs(rounded.loss / exact.loss - 1)).toBeLessThan(0.01)
  // Where every weight is trained there is nothing to round.
  const all = { method: full() } as Options
  expect(await trained(`full ${dtype}`, { ...all, dtype } as Options)).toEqual(await trained(`full off ${dtype}`, all))
  rmSync(folder, { recursive: true })
})
