// Adapter folders: what is saved loads again, with the module names of the model; what does not fit is named.
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { adapterOf, configOf, loadAdapter, saveAdapter } from "#src/adapters/peft.ts"
import { failureOf, scratch, tinyModel } from "../models/folder.ts"

const config = {
  peftType: "LORA" as const,
  baseModel: "models/tiny",
  r: 2,
  loraAlpha: 4,
  loraDropout: 0.1,
  targetModules: ["q_proj", "v_proj"]
}

const saved = async (targetModules: "all-linear" | readonly [string, ...string[]] = ["q_proj", "v_proj"]) => {
  const folder = scratch()
  const model = tinyModel()
  const written = configOf(model, { type: "lora", r: 2, loraAlpha: 4, loraDropout: 0.1, targetModules, seed: 0 }, "models/tiny")
  const weights = adapterOf(model, written).initial({ has: () => false, read: () => new Float32Array() }, 3)
  await saveAdapter(folder, model, written, weights)
  return { folder, model, weights }
}

test("what is saved loads again", async () => {
  const { folder, model, weights } = await saved()
  const adapter = await loadAdapter(folder, model)
  expect(adapter.config).toEqual(config)
  const name = "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight"
  expect(adapter.weights.read(name)).toEqual(weights.read(name))
})

test("all-linear is written as module names, as PEFT does", async () => {
  const { folder, model } = await saved("all-linear")
  const names = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
  expect((JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8")) as { target_modules: unknown }).target_modules).toEqual(
    names
  )
  expect((await loadAdapter(folder, model)).config).toEqual({ ...config, targetModules: names })
})

test("an adapter of another model, and one without its tensors", async () => {
  const { folder } = await saved()
  expect((await failureOf(() => loadAdapter(folder, tinyModel({ hidden_size: 16 })))).message).toMatch(
    /lora_A\.weight has the shape \[2, 8\]/
  )
  expect((await failureOf(() => loadAdapter(folder, tinyModel({ num_hidden_layers: 3 })))).message).toMatch(/^missing 4 tensors/)
  expect((await failureOf(() => loadAdapter(folder, tinyModel({ num_hidden_layers: 1 })))).message).toMatch(/^unexpected 4 tensors/)
  rmSync(join(folder, "adapter_model.safetensors"))
  expect((await failureOf(() => loadAdapter(folder, tinyModel()))).message).toMatch(/no such file: .*adapter_model\.safetensors/)
})
