// LoRA adapters against PEFT: logits, loss, gradients, merged weights, and folders that are read and written again.
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { loadAdapter, saveAdapter } from "#src/adapters/peft.ts"
import { DataError } from "#src/domain/Errors.ts"
import { loadModel } from "#src/models/load.ts"
import type { Weights } from "#src/models/Model.ts"
import { hasShared, shared } from "../shared.ts"
import { distance, expectGolden, readAll, type Rows, runLoss } from "./forward.ts"

const adapterOf = async (base: string, method: string) => {
  const folder = shared("parity", "adapters", base, method)
  const { model, weights } = await loadModel(shared("parity", "models", base, "hf"))
  const golden = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8")) as Rows
  return { folder, model, weights, golden, adapter: await loadAdapter(join(folder, "adapter"), model) }
}

describe.skipIf(!hasShared).each(["lora_qv", "lora_all_linear", "ia3"])("%s of llama as PEFT computes it", (method) => {
  test("logits, loss and every gradient", async () => {
    const { folder, model, weights, adapter } = await adapterOf("llama", method)
    await expectGolden(folder, model, weights, adapter)
  })

  test("merged weights and their logits", async () => {
    const { folder, model, weights, golden, adapter } = await adapterOf("llama", method)
    const expected = readAll(join(folder, "golden.safetensors"))
    const merged = adapter.adapter.merge!(weights, adapter.weights)
    const actual = await runLoss(model, merged, golden)
    const mask = golden.attention_mask.flat()
    expect(distance(actual["logits"] as Float32Array, expected.get("merged_logits")!, mask)).toBeLessThan(1e-4)
    const stored = [...expected.keys()].filter((name) => name.startsWith("merged_weight."))
    expect(stored.length).toBeGreaterThan(0)
    for (const name of stored) {
      const weight = merged.read(name.slice("merged_weight.".length))
      expect(distance(weight, expected.get(name)!, new Array<number>(weight.length).fill(1))).toBeLessThan(1e-6)
    }
  })

  test("a saved folder holds the same tensors and settings", async () => {
    const { folder, model, adapter } = await adapterOf("llama", method)
    const copy = mkdtempSync(join(tmpdir(), "anneal-adapter-"))
    try {
      await saveAdapter(copy, model, adapter.config, adapter.weights)
      expect((await loadAdapter(copy, model)).config).toEqual(adapter.config)
      expect(readAll(join(copy, "adapter_model.safetensors"))).toEqual(readAll(join(folder, "adapter", "adapter_model.safetensors")))
    } finally {
      rmSync(copy, { recursive: true })
    }
  })

  test("a fresh adapter has PEFT's tensors, changes nothing and its A has PEFT's range", async () => {
    const { folder, model, weights, golden, adapter } = await adapterOf("llama", method)
    const init = readAll(join(folder, "init.safetensors"))
    const fresh = adapter.adapter.initial(weights, 7)
    for (const [name, expected] of init) {
      const tensor = fresh.read(name)
      expect(tensor.length, name).toBe(expected.length)
      // A standard deviation within 15 % of PEFT's, which itself is a sample; both are 0 for B.
      const spread = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)
      expect(Math.abs(spread(tensor) - spread(expected)), name).toBeLessThanOrEqual(0.15 * spread(expected))
    }
    const logits = async (adapted?: Weights) => {
      const extra = adapted === undefined ? undefined : { ...adapter, weights: adapted }
      return (await runLoss(model, weights, golden, extra))["logits"]
    }
    expect(await logits(fresh)).toEqual(await logits())
  })
})

const refused: readonly (readonly [string, string, RegExp])[] = [
  ["llama", "dora_all_linear", /use_dora/],
  ["llama", "rslora_all_linear", /use_rslora/],
  ["llama", "lora_patterns", /alpha_pattern/],
  ["llama", "prefix", /peft_type/],
  ["llama", "prompt_tuning", /peft_type/],
  ["llama-untied", "lora_embedding", /embed_tokens/],
  ["llama-untied", "lora_modules_to_save_lm_head", /modules_to_save/]
]

test.skipIf(!hasShared).each(refused)("%s/%s is more than plain LoRA and refused", async (base, method, field) => {
  const error = await adapterOf(base, method).catch((u: unknown) => u)
  expect(error).toBeInstanceOf(DataError)
  expect((error as DataError).message).toMatch(field)
})
