// GPT-2's own ways: learned positions end, its hub's files have other tensor names and old buffers, c_proj starts smaller.
import { join, resolve } from "node:path"
import { expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { loadModel } from "#src/models/load.ts"
import type { Packing } from "#src/models/Model.ts"
import { openTensorFile, readTensor, writeTensorFile } from "#src/models/weights.ts"
import { failureOf, scratch, tinyModel, writeConfig } from "./folder.ts"

const config = { model_type: "gpt2", vocab_size: 11, n_positions: 6, n_embd: 8, n_layer: 2, n_head: 2 }

const build = (length: number, packed: boolean) => {
  const model = tinyModel({}, config)
  const graph = new Graph()
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, graph.input(name, "float32", shape)]))
  const place = (name: string) => graph.input(name, "int64", [1, length])
  const packing: { packing?: Packing } = packed ? { packing: { positions: place("within"), segments: place("segments") } } : {}
  return model.build(graph, { inputIds: place("ids"), param: (name) => shapes.get(name)!, ...packing })
}

test("rows longer than its positions are refused, packed rows of shorter documents are not", async () => {
  expect(build(6, false).logits.shape).toEqual([6, 11])
  const error = await failureOf(() => build(7, false))
  expect(error.message).toBe("rows of 7 tokens, but this model has 6 positions")
  expect(error.hint).toMatch(/maxLength/)
  expect(build(12, true).logits.shape).toEqual([12, 11])
})

test("the hub's names and buffers are read", async () => {
  const source = resolve(import.meta.dirname, "..", "parity", "own", "gpt2", "hf")
  const stored = [...openTensorFile(join(source, "model.safetensors")).values()]
  const { model, weights } = await loadModel(source)
  const folder = scratch()
  writeConfig(folder, model.configJson)
  const bare = new Map(stored.map((tensor) => [tensor.name.replace("transformer.", ""), tensor]))
  const buffers = [0, 1].flatMap((layer) => [`h.${layer}.attn.bias`, `h.${layer}.attn.masked_bias`]).map((name) => ({ name, shape: [1] }))
  writeTensorFile(join(folder, "model.safetensors"), [...[...bare].map(([name, { shape }]) => ({ name, shape })), ...buffers], (name) => {
    const tensor = bare.get(name)
    return tensor === undefined ? new Float32Array(1) : readTensor(tensor)
  })
  const hub = await loadModel(folder)
  for (const { name } of model.parameters) expect(hub.weights.read(name), name).toEqual(weights.read(name))
})

test("its padding token is trained like every other, weights of c_proj start at std / sqrt(2 layers)", () => {
  const model = tinyModel({ n_embd: 64, pad_token_id: 3 }, config)
  expect(model.config.pad_token_id).toBe(null)
  const weights = initialWeights(model, 1)
  const spread = (name: string) => {
    const values = weights.read(name)
    return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)
  }
  expect(Math.abs(spread("transformer.h.0.mlp.c_proj.weight") / 0.01 - 1)).toBeLessThan(0.05)
  expect(Math.abs(spread("transformer.h.0.mlp.c_fc.weight") / 0.02 - 1)).toBeLessThan(0.05)
})
