// Model folders on disk: what is saved loads again, and each way in which a folder does not fit together is named.
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { initialWeights } from "#src/models/initialWeights.ts"
import { loadConfig, loadModel } from "#src/models/load.ts"
import type { Model } from "#src/models/Model.ts"
import { saveModel } from "#src/models/save.ts"
import { openTensorFile, writeTensorFile } from "#src/models/weights.ts"
import { failureOf, scratch, tinyConfig, tinyModel, writeConfig } from "./folder.ts"

/** A folder with the tiny model's random weights. */
const savedFolder = async (model: Model = tinyModel()): Promise<string> => {
  const folder = scratch()
  await saveModel(folder, model, initialWeights(model, 1))
  return folder
}

const file = (folder: string) => join(folder, "model.safetensors")

describe("saveModel and loadModel", () => {
  test.each([true, false])("what is saved reads back, tied head %o", async (tied) => {
    const model = tinyModel({ tie_word_embeddings: tied })
    const weights = initialWeights(model, 1)
    const loaded = await loadModel(await savedFolder(model))
    expect(loaded.model.parameters).toEqual(model.parameters)
    expect(loaded.model.config).toEqual(model.config)
    for (const { name } of model.parameters) expect(loaded.weights.read(name), name).toEqual(weights.read(name))
  })

  test("a tied weight is written once", async () => {
    const names = [...openTensorFile(file(await savedFolder())).keys()]
    expect(names).toContain("model.embed_tokens.weight")
    expect(names).not.toContain("lm_head.weight")
  })

  test("the same weights give the same bytes", async () => {
    const [a, b] = [await savedFolder(), await savedFolder()]
    for (const name of ["config.json", "model.safetensors"]) expect(readFileSync(join(a, name))).toEqual(readFileSync(join(b, name)))
  })

  test("reading fills the given array, shared memory or not, and refuses one of another size", async () => {
    const { weights } = await loadModel(await savedFolder())
    const into = new Float32Array(new SharedArrayBuffer(8 * 4))
    expect(weights.read("model.norm.weight", into)).toBe(into)
    expect([...into]).toEqual(new Array<number>(8).fill(1))
    expect(() => weights.read("model.norm.weight", new Float32Array(7))).toThrow(RangeError)
  })

  test("config.json alone describes a model", async () => {
    const folder = scratch()
    writeConfig(folder)
    expect((await loadConfig(folder)).parameters.length).toBe(20)
  })
})

describe("where a tied weight may lie", () => {
  const model = tinyModel()
  const weights = initialWeights(model, 1)
  const embedding = "model.embed_tokens.weight"
  /** The tiny model's folder with the tied weight under these names. */
  const write = (names: readonly string[]): string => {
    const folder = scratch()
    writeConfig(folder)
    const shape = [11, 8]
    const rest = model.parameters.filter(({ name }) => name !== embedding)
    writeTensorFile(file(folder), [...rest, ...names.map((name) => ({ name, shape }))], (name) =>
      weights.read(names.includes(name) ? embedding : name)
    )
    return folder
  }

  test.each([[[embedding]], [["lm_head.weight"]], [[embedding, "lm_head.weight"]]])("%j", async (names) => {
    const loaded = await loadModel(write(names))
    expect(loaded.weights.read(embedding)).toEqual(weights.read(embedding))
  })

  test("a head beside it that is no copy is refused: nobody could tell which of both is meant", async () => {
    const folder = scratch()
    const head = { name: "lm_head.weight", shape: [11, 8] }
    const write = (config: object, change: number, dtype: "F32" | "BF16" = "F32") => {
      writeConfig(folder, config)
      writeTensorFile(
        file(folder),
        [...model.parameters, head],
        (name) => (name === head.name ? weights.read(embedding).map((x, i) => (i === 87 ? x + change : x)) : weights.read(name)),
        dtype
      )
    }
    write(tinyConfig, 0, "BF16")
    await loadModel(folder)
    write(tinyConfig, 0.5)
    const error = await failureOf(() => loadModel(folder))
    expect(error.message).toMatch(/^lm_head\.weight has other values than model\.embed_tokens\.weight, but tie_word_embeddings/)
    expect(error.hint).toMatch(/set tie_word_embeddings to false/)
    write({ ...tinyConfig, tie_word_embeddings: false }, 0.5)
    expect((await loadModel(folder)).weights.read(head.name)).not.toEqual(weights.read(embedding))
  })
})

describe("a folder that does not fit together", () => {
  const tensors = (model: Model) => model.parameters.map(({ name, shape }) => ({ name, shape }))
  const zeros = (list: readonly { readonly name: string; readonly shape: readonly number[] }[]) => (name: string) =>
    new Float32Array(list.find((tensor) => tensor.name === name)!.shape.reduce((product, dim) => product * dim, 1))

  test("no config.json, no weights", async () => {
    const folder = scratch()
    expect((await failureOf(() => loadModel(folder))).message).toMatch(/no such file: .*config\.json/)
    writeConfig(folder)
    expect((await failureOf(() => loadModel(folder))).message).toMatch(/no such file: .*model\.safetensors/)
  })

  test("cut short, and bytes at the end", async () => {
    const folder = await savedFolder()
    const path = file(folder)
    appendFileSync(path, "x")
    expect((await failureOf(() => loadModel(folder))).why).toMatch(/1 bytes follow/)
    truncateSync(path, 3000)
    const error = await failureOf(() => loadModel(folder))
    expect(error.why).toMatch(/cut short/)
    expect(error.where).toBe(path)
    truncateSync(path, 5)
    expect((await failureOf(() => loadModel(folder))).why).toMatch(/it has 5 bytes/)
  })

  test("another vocabulary", async () => {
    const folder = await savedFolder()
    writeConfig(folder, { ...tinyConfig, vocab_size: 12 })
    expect((await failureOf(() => loadModel(folder))).message).toBe(
      "model.embed_tokens.weight has the shape [11, 8], the model's config asks for [12, 8]"
    )
  })

  test("missing tensors are named", async () => {
    const folder = await savedFolder()
    const two = tensors(tinyModel()).filter(({ name }) => !name.includes("layers.1.mlp.up"))
    writeTensorFile(file(folder), two, zeros(two))
    expect((await failureOf(() => loadModel(folder))).message).toBe("missing tensor: model.layers.1.mlp.up_proj.weight")
    writeConfig(folder, { ...tinyConfig, num_hidden_layers: 3 })
    expect((await failureOf(() => loadModel(folder))).message).toMatch(/^missing 10 tensors: model\.layers\.1\.mlp\.up_proj\.weight, /)
  })

  test("tensors without a place are named, buffers of older releases are not", async () => {
    const folder = await savedFolder()
    const buffer = { name: "model.layers.0.self_attn.rotary_emb.inv_freq", shape: [1] }
    const more = [...tensors(tinyModel()), buffer]
    writeTensorFile(file(folder), more, zeros(more))
    await loadModel(folder)
    const wrong = [...more, { name: "model.layers.0.self_attn.q_proj.bias", shape: [8] }]
    writeTensorFile(file(folder), wrong, zeros(wrong))
    expect((await failureOf(() => loadModel(folder))).message).toBe("unexpected tensor: model.layers.0.self_attn.q_proj.bias")
  })

  test("a dtype that holds no weights", async () => {
    const folder = await savedFolder()
    const path = file(folder)
    const bytes = readFileSync(path, "latin1").replaceAll('"dtype":"F32"', '"dtype":"I32"')
    writeFileSync(path, bytes, "latin1")
    expect((await failureOf(() => loadModel(folder))).message).toMatch(/has the dtype I32; F32, F16 and BF16 are supported/)
  })

  test("a shard index that leaves the folder, names a missing shard, or a shard without the tensor", async () => {
    const folder = scratch()
    writeConfig(folder)
    const index = (shard: string, name = "model.norm.weight") =>
      writeFileSync(`${file(folder)}.index.json`, JSON.stringify({ weight_map: { [name]: shard } }))
    index("../model.safetensors")
    expect((await failureOf(() => loadModel(folder))).message).toBe('the shard of model.norm.weight is "../model.safetensors"')
    index("part.safetensors")
    expect((await failureOf(() => loadModel(folder))).message).toMatch(/no such file: .*part\.safetensors/)
    writeTensorFile(join(folder, "part.safetensors"), [{ name: "a", shape: [1] }], () => new Float32Array(1))
    expect((await failureOf(() => loadModel(folder))).message).toBe(
      "tensor model.norm.weight is not in part.safetensors, where the index says it is"
    )
  })
})
