// Prefix and prompt tuning of the shared references against PEFT: logits, loss, gradients of the encoder, folders of PEFT read and
// written again, the spread of fresh tensors.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { adapterOf, loadAdapter, saveAdapter } from "#src/adapters/peft.ts"
import { loadModel } from "#src/models/load.ts"
import type { Weights } from "#src/models/Model.ts"
import { shared } from "../shared.ts"
import { type Case, casesOf } from "./cases.ts"
import { distance, expectGolden, readAll, type Rows, runLoss } from "./forward.ts"

const cases = casesOf(/^(prefix|prompt_tuning)/)

const weightsOf = (tensors: ReadonlyMap<string, Float32Array>): Weights => ({
  has: (name) => tensors.has(name),
  read: (name, into) => {
    into?.set(tensors.get(name)!)
    return into ?? tensors.get(name)!.slice()
  }
})

const open = async ({ base, method }: Case) => {
  const folder = shared("parity", "adapters", base, method)
  const { model, weights } = await loadModel(shared("parity", "models", base, "hf"))
  const golden = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8")) as Rows & { readonly loss: number }
  const loaded = await loadAdapter(join(folder, "adapter"), model)
  const file = join(folder, "encoder.safetensors")
  // Prompt tuning's encoder is what PEFT's file holds.
  const encoder = existsSync(file) ? weightsOf(readAll(file)) : loaded.trained!
  return { folder, model, weights, golden, loaded, encoder, adapter: adapterOf(model, loaded.config) }
}

if (cases.length === 0) test.skip("prefix and prompt tuning (the references of ../shared/parity are not here)", () => undefined)

describe.each(cases)("$base/$method as PEFT computes it", (each) => {
  test("logits, loss and the gradient of every tensor of the encoder", async () => {
    const { folder, model, weights, adapter, encoder } = await open(each)
    await expectGolden(folder, model, weights, { adapter, weights: encoder })
  })

  test("PEFT's folder alone: the same logits and loss", async () => {
    const { folder, model, weights, golden, loaded } = await open(each)
    const actual = await runLoss(model, weights, golden, loaded)
    const expected = readAll(join(folder, "golden.safetensors")).get("logits")!
    expect(distance(actual["logits"] as Float32Array, expected, golden.attention_mask.flat())).toBeLessThan(1e-4)
    expect(Math.abs(Number(actual["loss"]![0]) - golden.loss)).toBeLessThan(1e-5)
    expect(loaded.trained === undefined).toBe(each.method === "prefix_projection")
  })

  test("a saved folder is PEFT's, and what was trained comes back from it", async () => {
    const { folder, model, weights, loaded, encoder, adapter } = await open(each)
    const copy = mkdtempSync(join(tmpdir(), "anneal-adapter-"))
    try {
      await saveAdapter(copy, model, loaded.config, encoder, weights)
      const again = await loadAdapter(copy, model)
      expect(again.config).toEqual(loaded.config)
      for (const { name } of adapter.parameters) expect(again.trained!.read(name)).toEqual(encoder.read(name))
      const [ours, theirs] = [copy, join(folder, "adapter")].map((at) => readAll(join(at, "adapter_model.safetensors")))
      expect([...ours!.keys()]).toEqual([...theirs!.keys()])
      const [[, values]] = [...ours!] as [[string, Float32Array]]
      const [[, expected]] = [...theirs!] as [[string, Float32Array]]
      expect(distance(values, expected, [1])).toBeLessThan(each.method === "prefix_projection" ? 1e-5 : 1e-12)
      const json = (at: string) => JSON.parse(readFileSync(join(at, "adapter_config.json"), "utf8")) as Record<string, unknown>
      expect(json(join(folder, "adapter"))).toMatchObject(json(copy))
    } finally {
      rmSync(copy, { recursive: true })
    }
  })

  test("a fresh encoder has PEFT's tensors with PEFT's spread", async () => {
    const { folder, weights, adapter } = await open(each)
    const init = readAll(join(folder, "init.safetensors"))
    expect(adapter.parameters.map(({ name }) => name).toSorted()).toEqual([...init.keys()].toSorted())
    const fresh = adapter.initial(weights, 7)
    const spread = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)
    for (const [name, expected] of init) {
      const tensor = fresh.read(name)
      expect(tensor.length, name).toBe(expected.length)
      // Both are samples, the biases small ones.
      expect(Math.abs(spread(tensor) / spread(expected) - 1), name).toBeLessThanOrEqual(expected.length < 50 ? 0.5 : 0.2)
    }
  })
})
