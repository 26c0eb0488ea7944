// Folders with 4-bit weights: which are read, which are refused and how it is said.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeEach, describe, expect, test } from "vitest"
import { isFourBit } from "#src/formats/bitsandbytes/config.ts"
import { parseQuantState } from "#src/formats/bitsandbytes/quantState.ts"
import { formatConfig, parseConfig } from "#src/formats/hfConfig.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { loadModel } from "#src/models/load.ts"
import type { Weights } from "#src/models/Model.ts"
import { quantizedWeights } from "#src/models/quantized.ts"
import { tune, tuningOf } from "#src/runtime/Tuning.ts"
import { failureOf, tinyModel } from "./folder.ts"
import { hasShared, shared } from "../shared.ts"

describe("quantization_config", () => {
  const bnb = { quant_method: "bitsandbytes", load_in_4bit: true, load_in_8bit: false, bnb_4bit_quant_type: "nf4" }
  test("bitsandbytes in 4 bits, or none", () => {
    expect(isFourBit({ quantization_config: bnb }, "config.json")).toBe(true)
    expect(isFourBit({ quantization_config: { load_in_4bit: true } }, "config.json")).toBe(true)
    expect(isFourBit({ quantization_config: null }, "config.json")).toBe(false)
    expect(isFourBit({}, "config.json")).toBe(false)
  })

  test.each([
    [{ quant_method: "gptq", bits: 4 }, "gptq"],
    [{ quant_method: "awq" }, "awq"],
    [{ quant_method: "fp8" }, "fp8"],
    [{ ...bnb, load_in_4bit: false, load_in_8bit: true }, "bitsandbytes in 8 bits"],
    [{ quant_method: "bitsandbytes" }, "bitsandbytes without load_in_4bit"]
  ])("%j is refused by name", async (config, name) => {
    const error = await failureOf(() => isFourBit({ quantization_config: config }, "config.json"))
    expect(error).toMatchObject({ message: `quantization_config: ${name} is not supported`, where: "config.json" })
  })

  test("what is saved as plain weights says nothing of it", () => {
    const { source } = parseConfig(JSON.stringify({ model_type: "llama", quantization_config: bnb }), "config.json")
    expect(JSON.parse(formatConfig(source))).toEqual({ model_type: "llama", dtype: "float32" })
  })
})

test("plain weights are quantised one tensor at a time", () => {
  const model = tinyModel({ num_hidden_layers: 3 })
  const source = initialWeights(model, 1)
  const reads: { readonly name: string; readonly into: Float32Array | undefined }[] = []
  const watched: Weights = { has: source.has, read: (name, into) => (reads.push({ name, into }), source.read(name, into)) }
  const held = quantizedWeights(model, watched, { quantType: "nf4", doubleQuant: true, blockSize: 64 })
  const largestFirst = model.linears.toSorted((a, b) => b.inFeatures * b.outFeatures - a.inFeatures * a.outFeatures)
  for (const { path } of largestFirst) expect(held.quantized?.(`${path}.weight`)).toBeDefined()
  expect(reads.length).toBe(21)
  // All of them into the memory of the first, which holds just the largest.
  expect(new Set(reads.map(({ into }) => into?.buffer)).size).toBe(1)
  expect(reads[0]!.into?.buffer.byteLength).toBe(4 * 8 * 12)
})

test.each([
  [{ quant_type: "int4" }, /quant_type/],
  [{ blocksize: 63 }, /blocksize/],
  [{ dtype: "int8" }, /dtype/],
  [{ nested_offset: 0.1 }, /nested_blocksize and nested_offset/]
])("a quant state with %j is refused", async (change, message) => {
  const state = { quant_type: "nf4", blocksize: 64, dtype: "float32", shape: [4, 64], ...change }
  const error = await failureOf(() => parseQuantState(new TextEncoder().encode(JSON.stringify(state)), "w"))
  expect(error.message).toMatch(message)
})

describe.skipIf(!hasShared)("a folder that bitsandbytes saved", () => {
  const folder = mkdtempSync(join(tmpdir(), "anneal-4bit-"))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  beforeEach(() => cpSync(shared("parity", "nf4", "qlora", "nf4_dq", "hf-4bit"), folder, { recursive: true }))

  /** Changes a name in the file's header without changing its length. */
  const rename = (from: string, to: string): void => {
    const path = join(folder, "model.safetensors")
    const text = readFileSync(path, "latin1")
    expect(to.length).toBe(from.length)
    expect(text).toContain(`"${from}"`)
    writeFileSync(path, text.replace(`"${from}"`, `"${to}"`), "latin1")
  }
  const weight = "model.layers.0.self_attn.q_proj.weight"

  test("a missing side tensor", async () => {
    rename(`${weight}.nested_absmax`, `${weight}.nested_abs___`)
    expect(await failureOf(() => loadModel(folder))).toMatchObject({ message: `tensor ${weight}.nested_absmax is missing` })
  })

  test("a weight of another shape than the config says", async () => {
    const path = join(folder, "config.json")
    const config = JSON.parse(readFileSync(path, "utf8")) as { readonly hidden_size: number; readonly intermediate_size: number }
    const { hidden_size: width, intermediate_size: inner } = config
    writeFileSync(path, JSON.stringify({ ...config, intermediate_size: 2 * inner }))
    const { message } = await failureOf(() => loadModel(folder))
    expect(message).toContain(`mlp.gate_proj.weight has the shape [${inner}, ${width}] in 4 bits`)
  })

  test("4-bit tensors that the config says nothing of", async () => {
    const path = join(folder, "config.json")
    writeFileSync(path, readFileSync(path, "utf8").replace('"quantization_config"', '"task_specific_params"'))
    expect((await failureOf(() => loadModel(folder))).message).toMatch(/^unexpected \d+ tensors: model\.layers\.\d+\.[\w.]+\.weight\.\w+/)
  })

  test("full fine-tuning", async () => {
    const { model, weights } = await loadModel(folder)
    const error = await failureOf(() => tune(tuningOf(model, { type: "full" }, 1e-3), weights, { accumulates: false, seed: 0 }))
    expect(error).toMatchObject({ message: "weights in 4 bits cannot be trained" })
  })

  test("another way of quantising than the folder's", async () => {
    const { model, weights } = await loadModel(folder)
    const held = (options: object) => quantizedWeights(model, weights, { quantType: "nf4", doubleQuant: true, blockSize: 64, ...options })
    expect(held({}).quantized?.(weight)?.packed).toEqual(weights.quantized?.(weight)?.packed)
    const error = await failureOf(() => held({ doubleQuant: false }).quantized?.(weight))
    expect(error).toMatchObject({ message: "the base is in 4 bits already, with doubleQuant true instead of false", where: weight })
  })
})
