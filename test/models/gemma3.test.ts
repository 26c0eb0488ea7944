// Gemma 3 with an image encoder: tensors under both namings, saved whole under those of its files with the encoder's as they were.
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import * as Schema from "effect/Schema"
import { expect, test } from "vitest"
import { loraLayers } from "#src/adapters/loraLayers.ts"
import { type AdapterMethod, lora, Method } from "#src/adapters/options.ts"
import { configOf } from "#src/adapters/peft.ts"
import type { LoraConfig } from "#src/formats/adapter/lora.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { loadModel } from "#src/models/load.ts"
import { saveModel } from "#src/models/save.ts"
import { openTensorFile, readTensor, writeTensorFile } from "#src/models/weights.ts"
import { failureOf, scratch, tinyModel, writeConfig } from "./folder.ts"

const source = resolve(import.meta.dirname, "..", "parity", "own", "gemma3", "hf")
const config = JSON.parse(readFileSync(join(source, "config.json"), "utf8")) as Record<string, unknown>
const stored = [...openTensorFile(join(source, "model.safetensors")).values()]

test("modules have transformers' names, and an adapter leaves the encoder's modules of the same names alone", async () => {
  const { model } = await loadModel(source)
  expect(model.embedding).toBe("model.language_model.embed_tokens")
  expect(model.linears[0]?.path).toBe("model.language_model.layers.0.self_attn.q_proj")
  const excluded = (options: Parameters<typeof lora>[0]) => {
    const config = configOf(model, Schema.decodeUnknownSync(Method)(lora(options)) as AdapterMethod, "base") as LoraConfig
    expect(loraLayers(model, config).length).toBeGreaterThan(0)
    return new RegExp(`^(?:${config.excludeModules as string})$`)
  }
  const encoder = "model.vision_tower.encoder.layers.0.self_attn.q_proj"
  const own = "model.language_model.layers.0.self_attn.q_proj"
  expect(excluded({}).test(encoder)).toBe(true)
  expect(excluded({}).test(own)).toBe(false)
  const more = excluded({ targetModules: "all-linear", excludeModules: ["self_attn.q_proj"] })
  expect([more.test(encoder), more.test(own), more.test(own.replace("q_proj", "v_proj"))]).toEqual([true, true, false])
  expect(excluded({ excludeModules: String.raw`.*\.1\..*` }).test(own.replace(".0.", ".1."))).toBe(true)
})

test("a folder whose tensors bear the modules' names is read too", async () => {
  const folder = scratch()
  writeConfig(folder, config)
  const own = (name: string) =>
    name.startsWith("language_model.model.") ? name.replace("language_model.model.", "model.language_model.") : `model.${name}`
  const byName = new Map(stored.map((tensor) => [own(tensor.name), tensor]))
  const tensors = [...byName].map(([name, { shape }]) => ({ name, shape }))
  writeTensorFile(join(folder, "model.safetensors"), tensors, (name) => readTensor(byName.get(name)!))
  const [{ model, weights }, again] = [await loadModel(source), await loadModel(folder)]
  for (const { name } of model.parameters) expect(again.weights.read(name), name).toEqual(weights.read(name))
  expect(again.model.besides?.map(({ name }) => name).toSorted()).toEqual(model.besides?.map(({ name }) => name).toSorted())
})

test("a whole model keeps the file's names and the encoder's tensors", async () => {
  const { model } = await loadModel(source)
  const weights = initialWeights(model, 3)
  const folder = scratch()
  await saveModel(folder, model, weights)
  expect(JSON.parse(readFileSync(join(folder, "config.json"), "utf8"))).toEqual(config)
  const saved = openTensorFile(join(folder, "model.safetensors"))
  expect([...saved.keys()].toSorted()).toEqual(stored.map(({ name }) => name).toSorted())
  const values = (name: string) => readTensor(saved.get(name)!)
  expect(values("language_model.model.layers.1.mlp.up_proj.weight")).toEqual(
    weights.read("model.language_model.layers.1.mlp.up_proj.weight")
  )
  const encoder = stored.filter(({ name }) => /^(vision_tower|multi_modal_projector)\./.test(name))
  expect(encoder.length).toBeGreaterThan(10)
  for (const tensor of encoder) expect(values(tensor.name), tensor.name).toEqual(readTensor(tensor))
})

test("a tensor that is neither the text model's nor the encoder's is refused", async () => {
  const folder = scratch()
  writeConfig(folder, config)
  const more = [...stored, { name: "audio_tower.weight", shape: [2] }]
  const byName = new Map(stored.map((tensor) => [tensor.name, tensor]))
  writeTensorFile(join(folder, "model.safetensors"), more, (name) => {
    const tensor = byName.get(name)
    return tensor === undefined ? new Float32Array(2) : readTensor(tensor)
  })
  expect((await failureOf(() => loadModel(folder))).message).toBe("unexpected tensor: audio_tower.weight")
})

const textConfig = config["text_config"] as Record<string, unknown>
const modelWith = (change: object, text: object = {}) => tinyModel({ ...change, text_config: { ...textConfig, ...text } }, config)

test("the padding token is the text config's; head and embedding are tied unless the outer config says otherwise", () => {
  expect(modelWith({ pad_token_id: 5 }, { pad_token_id: 2 }).config.pad_token_id).toBe(2)
  expect(modelWith({ pad_token_id: 5 }, { pad_token_id: undefined }).config.pad_token_id).toBe(0)
  expect(modelWith({ tie_word_embeddings: undefined }, { tie_word_embeddings: false }).config.tie_word_embeddings).toBe(true)
  expect(modelWith({ tie_word_embeddings: false }, { tie_word_embeddings: true }).config.tie_word_embeddings).toBe(false)
})

test.each([
  [{ rope_parameters: { rope_type: "linear", factor: 2 } }, /^rope_parameters: rope_type belongs into full_attention/],
  [{ rope_scaling: { type: "linear", factor: 4 } }, /^rope_scaling: type is spelled rope_type/],
  [{ original_max_position_embeddings: 64 }, /^original_max_position_embeddings belongs into/],
  [{ rope_parameters: undefined, partial_rotary_factor: 0.5 }, /^partial_rotary_factor/]
])("rope as transformers does not read it for Gemma 3 is refused: %j", async (text, message) => {
  const error = await failureOf(() => modelWith({}, text))
  expect(error.message).toMatch(message)
  expect(error.where).toMatch(/text_config/)
})
