// Every adapter of the shared references against PEFT: logits, loss, gradients, merged weights, folders read and written again.
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { loadAdapter, saveAdapter } from "#src/adapters/peft.ts"
import { loadModel } from "#src/models/load.ts"
import type { Weights } from "#src/models/Model.ts"
import { hasShared, shared } from "../shared.ts"
import { type Case, casesOf } from "./cases.ts"
import { distance, expectGolden, readAll, type Rows, runLoss } from "./forward.ts"

const cases = casesOf(/^(lora|dora|rslora|ia3)/)

test.skipIf(!hasShared)("there are references of several bases", () => {
  expect(cases.length).toBeGreaterThan(8)
})

interface Golden extends Rows {
  readonly adapter_keys: Readonly<Record<string, readonly number[]>>
}

const open = async ({ base, method }: Case) => {
  const folder = shared("parity", "adapters", base, method)
  const { model, weights } = await loadModel(shared("parity", "models", base, "hf"))
  const golden = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8")) as Golden
  return { folder, model, weights, golden, adapter: await loadAdapter(join(folder, "adapter"), model) }
}

describe.skipIf(cases.length === 0).each(cases)("$base/$method as PEFT computes it", (each) => {
  test("logits, loss and every gradient", async () => {
    const { folder, model, weights, adapter } = await open(each)
    await expectGolden(folder, model, weights, adapter)
  })

  test("merged weights and their logits", async () => {
    const { folder, model, weights, golden, adapter } = await open(each)
    const expected = readAll(join(folder, "golden.safetensors"))
    const merged = adapter.adapter.merge!(weights, adapter.weights)
    const actual = await runLoss(model, merged, golden)
    const mask = golden.attention_mask.flat()
    expect(distance(actual["logits"] as Float32Array, expected.get("merged_logits")!, mask)).toBeLessThan(1e-4)
    const stored = [...expected.keys()].filter((name) => name.startsWith("merged_weight."))
    expect(stored.length).toBeGreaterThan(0)
    for (const name of stored) {
      const weight = merged.read(name.slice("merged_weight.".length))
      expect(distance(weight, expected.get(name)!, new Array<number>(weight.length).fill(1))).toBeLessThan(2e-6)
    }
  })

  test("a saved folder holds the same tensors and settings", async () => {
    const { folder, model, weights, golden, adapter } = await open(each)
    const copy = mkdtempSync(join(tmpdir(), "anneal-adapter-"))
    try {
      await saveAdapter(copy, model, adapter.config, adapter.weights, adapter.overBase(weights))
      expect((await loadAdapter(copy, model)).config).toEqual(adapter.config)
      const tensors = readAll(join(copy, "adapter_model.safetensors"))
      expect([...tensors.keys()].toSorted()).toEqual(Object.keys(golden.adapter_keys).toSorted())
      expect(tensors).toEqual(readAll(join(folder, "adapter", "adapter_model.safetensors")))
    } finally {
      rmSync(copy, { recursive: true })
    }
  })

  test("a fresh adapter has PEFT's tensors with PEFT's spread, and changes nothing", async () => {
    const { folder, model, weights, golden, adapter } = await open(each)
    const init = readAll(join(folder, "init.safetensors"))
    const fresh = adapter.adapter.initial(weights, 7)
    expect(adapter.adapter.parameters.map(({ name }) => name).toSorted()).toEqual([...init.keys()].toSorted())
    for (const [name, expected] of init) {
      const tensor = fresh.read(name)
      expect(tensor.length, name).toBe(expected.length)
      // Copies and lengths of the base's weights are PEFT's own values; random ones have a standard deviation within 20 % of
      // PEFT's, which itself is a sample.
      if (!/lora_(embedding_)?[AB]/.test(name)) {
        const worst = tensor.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i]!) / Math.max(1, Math.abs(x))), 0)
        expect(worst, name).toBeLessThan(1e-6)
        continue
      }
      const spread = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)
      expect(Math.abs(spread(tensor) - spread(expected)), name).toBeLessThanOrEqual(0.2 * spread(expected))
    }
    const logits = async (adapted?: Weights) => {
      const extra = adapted === undefined ? undefined : { ...adapter, weights: adapted }
      return (await runLoss(model, weights, golden, extra))["logits"] as Float32Array
    }
    const all = golden.input_ids.flat().map(() => 1)
    expect(distance(await logits(fresh), await logits(), all)).toBeLessThan(1e-4)
  })
})
