// Adapter folders: what is saved loads again, with the module names of the model; what does not fit is named.
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { expect, test } from "vitest"
import { adapterOf, configOf, loadAdapter, saveAdapter } from "#src/adapters/peft.ts"
import { openTensorFile } from "#src/models/weights.ts"
import { loadModel } from "#src/models/load.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { ia3Method, loraMethod } from "./method.ts"
import { failureOf, scratch, tinyModel } from "../models/folder.ts"

const saved = async (options: Parameters<typeof loraMethod>[0] = {}, model = tinyModel()) => {
  const folder = scratch()
  const config = configOf(model, loraMethod({ r: 2, loraAlpha: 4, loraDropout: 0.1, ...options }), "models/tiny")
  const base = initialWeights(model, 1)
  const weights = adapterOf(model, config).initial(base, 3)
  await saveAdapter(folder, model, config, weights, base)
  return { folder, model, weights, config, base }
}

test("what is saved loads again", async () => {
  const { folder, model, weights, config } = await saved()
  const adapter = await loadAdapter(folder, model)
  expect(adapter.config).toEqual(config)
  expect(config).toMatchObject({ baseModel: "models/tiny", r: 2, loraAlpha: 4, loraDropout: 0.1, targetModules: ["q_proj", "v_proj"] })
  const name = "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight"
  expect(adapter.weights.read(name)).toEqual(weights.read(name))
})

test("all-linear is written as module names, as PEFT does", async () => {
  const { folder } = await saved({ targetModules: "all-linear" })
  const json = JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8")) as { readonly target_modules: unknown }
  expect(json.target_modules).toEqual(["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"])
})

test("below an adapter on the embedding the file holds its weight, which is read as PEFT reads it", async () => {
  const { folder, model, base } = await saved({ targetModules: ["q_proj", "embed_tokens"] })
  const name = "base_model.model.model.embed_tokens.base_layer.weight"
  expect(openTensorFile(join(folder, "adapter_model.safetensors")).has(name)).toBe(true)
  const { overBase } = await loadAdapter(folder, model)
  const other = initialWeights(model, 9)
  expect(overBase(other).read("model.embed_tokens.weight")).toEqual(base.read("model.embed_tokens.weight"))
  expect(overBase(other).read("model.norm.weight")).toEqual(other.read("model.norm.weight"))
})

test("below (IA)^3 on the head the file holds its weight too", async () => {
  const model = tinyModel()
  const config = configOf(model, ia3Method({ targetModules: ["up_proj", "lm_head"], feedforwardModules: ["lm_head"] }), "models/tiny")
  const folder = scratch()
  const base = initialWeights(model, 1)
  await saveAdapter(folder, model, config, adapterOf(model, config).initial(base, 3), base)
  expect([...openTensorFile(join(folder, "adapter_model.safetensors")).keys()].toSorted()).toEqual([
    "base_model.model.lm_head.base_layer.weight",
    "base_model.model.lm_head.ia3_l",
    "base_model.model.model.layers.0.mlp.up_proj.ia3_l",
    "base_model.model.model.layers.1.mlp.up_proj.ia3_l"
  ])
  expect((await loadAdapter(folder, model)).config).toEqual(config)
})

test("where all biases are trained, those of a module that is trained whole stand under PEFT's three names", async () => {
  const { model } = await loadModel(resolve(import.meta.dirname, "../parity/own/gpt2/hf"))
  const { folder, base, weights } = await saved({ targetModules: ["c_attn"], bias: "all", modulesToSave: ["ln_2", "mlp"] }, model)
  const layer = "base_model.model.transformer.h.0."
  const names = [...openTensorFile(join(folder, "adapter_model.safetensors")).keys()]
  const expected = [
    ...["ln_2.bias", "ln_2.modules_to_save.bias", "ln_2.original_module.bias", "ln_2.weight"],
    ...["mlp.c_fc.bias", "mlp.c_fc.weight", "mlp.c_proj.bias", "mlp.c_proj.weight"],
    ...["mlp.modules_to_save.default.c_fc.bias", "mlp.modules_to_save.default.c_proj.bias"],
    ...["mlp.original_module.c_fc.bias", "mlp.original_module.c_proj.bias"]
  ]
  expect(names.filter((name) => /\.h\.0\.(ln_2|mlp)\./.test(name)).toSorted()).toEqual(expected.map((name) => `${layer}${name}`))
  const stored = await loadAdapter(folder, model)
  expect(stored.weights.read(`${layer}ln_2.bias`)).toEqual(weights.read(`${layer}ln_2.bias`))
  expect(stored.overBase(initialWeights(model, 9)).read("transformer.h.0.ln_2.bias")).toEqual(base.read("transformer.h.0.ln_2.bias"))
})

test("DoRA of the embedding, which PEFT offers, is refused by name when it is loaded", async () => {
  const { folder, model } = await saved({ targetModules: ["q_proj", "embed_tokens"] })
  const path = join(folder, "adapter_config.json")
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, "utf8")) as object), use_dora: true }))
  expect((await failureOf(() => loadAdapter(folder, model))).message).toBe("useDora: DoRA is not offered for the token embedding")
})

test("a tied embedding that is trained whole: one tensor under both names, or two that cannot be merged", async () => {
  const both = ["base_model.model.lm_head.weight", "base_model.model.model.embed_tokens.weight"]
  const tied = await saved({ modulesToSave: ["embed_tokens"], ensureWeightTying: true })
  const stored = openTensorFile(join(tied.folder, "adapter_model.safetensors"))
  expect(both.filter((name) => stored.has(name))).toEqual(both)
  const adapter = adapterOf(tied.model, tied.config)
  expect(adapter.replaces).toEqual(new Map([["model.embed_tokens.weight", both[1]]]))
  expect(adapter.merge).toBeDefined()
  expect((await loadAdapter(tied.folder, tied.model)).config).toEqual(tied.config)

  const apart = await saved({ modulesToSave: ["embed_tokens", "lm_head"] })
  const { parameters, replaces, merge } = adapterOf(apart.model, apart.config)
  expect(parameters.map(({ name }) => name).filter((name) => both.includes(name)).length).toBe(2)
  expect(replaces.size).toBe(0)
  expect(merge).toBeUndefined()
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
