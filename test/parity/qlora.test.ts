// Models in bitsandbytes' 4-bit form, saved by transformers: values, logits, loss and gradients of an adapter over them.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { loadAdapter } from "#src/adapters/peft.ts"
import { absmaxOf, dequantize, type Quantized, type QuantOptions } from "#src/formats/bitsandbytes/quantized.ts"
import { loadModel } from "#src/models/load.ts"
import { quantizedWeights } from "#src/models/quantized.ts"
import { freeze } from "#src/runtime/Frozen.ts"
import { Generator } from "#src/runtime/Generator.ts"
import { openMerged, openModel, type Runnable } from "#src/runtime/RunnableModel.ts"
import { scoreRows } from "#src/runtime/Scorer.ts"
import { tinyInfo } from "../generation/tinyModel.ts"
import { hasShared, shared } from "../shared.ts"
import { json, type ReferenceBatch, toRun } from "../train/parity.ts"
import { distance, expectGolden, readAll, type Rows, runLoss } from "./forward.ts"

const cases: Readonly<Record<string, QuantOptions>> = {
  nf4_dq: { quantType: "nf4", doubleQuant: true, blockSize: 64 },
  nf4: { quantType: "nf4", doubleQuant: false, blockSize: 64 },
  fp4: { quantType: "fp4", doubleQuant: false, blockSize: 64 }
}

describe.skipIf(!hasShared).each(Object.entries(cases))("%s", (name, options) => {
  const folder = shared("parity", "nf4", "qlora", name)
  const stored = () => loadModel(join(folder, "hf-4bit"))
  const golden = () => json<Rows & { readonly quantised_modules: readonly string[] }>(join(folder, "golden.json"))

  test("the layers that transformers quantised are in 4 bits, no other tensor is", async () => {
    const { model, weights } = await stored()
    const fourBit = model.parameters.filter((parameter) => weights.quantized?.(parameter.name) !== undefined)
    expect(fourBit.map((parameter) => parameter.name).toSorted()).toEqual(
      golden()
        .quantised_modules.map((path) => `${path}.weight`)
        .toSorted()
    )
  })

  test("quantising the plain base gives the same bytes", async () => {
    const { model, weights } = await stored()
    const base = await loadModel(shared("parity", "models", "llama-q", "hf"))
    const ours = quantizedWeights(base.model, base.weights, options)
    for (const { path } of model.linears) {
      const [theirs, own] = [weights, ours].map((from) => from.quantized?.(`${path}.weight`) as Quantized) as [Quantized, Quantized]
      expect(own.packed, path).toEqual(theirs.packed)
      expect(own.codes).toBe(theirs.codes)
      if (!options.doubleQuant) expect(own.scales, path).toEqual(theirs.scales)
      const [a, b] = [absmaxOf(own.scales), absmaxOf(theirs.scales)]
      // A scale in 8 bits: bitsandbytes' search is not always the nearest.
      expect(a.every((x, i) => Math.abs(x - b[i]!) <= 0.02 * b[i]!)).toBe(true)
    }
  })

  test("logits of the base, and logits, loss and gradients of an adapter over it", async () => {
    const { model, weights } = await stored()
    const adapter = await loadAdapter(join(folder, "adapter"), model)
    // A fresh adapter changes nothing.
    const base = await runLoss(model, weights, golden(), { ...adapter, weights: adapter.adapter.initial(weights, 1) })
    const expected = readAll(join(folder, "golden.safetensors"))
    expect(distance(base["logits"] as Float32Array, expected.get("base_logits_4bit")!, golden().attention_mask.flat())).toBeLessThan(1e-4)
    await expectGolden(folder, model, weights, adapter)
  })
})

describe.skipIf(!hasShared)("an adapter's folder over a base that bitsandbytes saved", () => {
  const at = (file: string): string => shared("parity", "nf4", "qlora", "nf4_dq", file)
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "anneal-adapter-"))
    cpSync(at("adapter"), folder, { recursive: true })
    writeFileSync(join(folder, "anneal.json"), JSON.stringify(tinyInfo({ path: "base", digest: "sha256:base" }, "lora")))
  })
  afterAll(() => rmSync(folder, { recursive: true }))
  const findBase = () => Promise.resolve(at("hf-4bit"))

  test("is scored over the base in 4 bits", async () => {
    const opened = await openModel(folder, findBase)
    expect(opened.adapter).toBeDefined()
    const golden = json<ReferenceBatch & { readonly loss: number; readonly quantised_modules: readonly string[] }>(at("golden.json"))
    const { input_ids, labels, attention_mask, loss, quantised_modules } = golden
    const held = opened.parameters.filter(({ form }) => form === "nf4 with double quantisation").map(({ name }) => name)
    expect(held.toSorted()).toEqual(quantised_modules.map((name) => `${name}.weight`).toSorted())
    const { rows } = toRun([[{ input_ids, labels, attention_mask }]])
    const { nll, targets } = await scoreRows(opened, rows, { batchSize: 2, threads: 1 })
    expect((nll[0]! + nll[1]!) / (targets[0]! + targets[1]!)).toBeCloseTo(loss, 5)
  })

  test("goes on as the merged model does", async () => {
    const merged = await openMerged(folder, findBase)
    const whole = { model: merged.model, parameters: freeze(merged.model.parameters, merged.weights) }
    expect(whole.parameters.every(({ form }) => form === "float32")).toBe(true)
    const generate = async (runnable: Runnable) => {
      const generator = new Generator(runnable, { batchSize: 1, threads: 1 })
      const found = await generator.generate([[1, 5, 9, 30]], { maxNewTokens: 12, eosTokenIds: [] })
      await generator.release()
      return found
    }
    expect(await generate(await openModel(folder, findBase))).toEqual(await generate(whole))
  })
})

test.skipIf(!hasShared)("the dequantised weights are bitsandbytes' own", async () => {
  const folder = shared("parity", "nf4", "qlora", "nf4_dq")
  const { weights } = await loadModel(join(folder, "hf-4bit"))
  const expected = [...readAll(join(folder, "golden.safetensors"))].filter(([name]) => name.startsWith("dequant."))
  expect(expected.length).toBeGreaterThan(0)
  for (const [name, values] of expected) {
    const weight = name.slice("dequant.".length)
    expect(weights.read(weight)).toEqual(values)
    expect(dequantize(weights.quantized?.(weight) as Quantized)).toEqual(values)
  }
})
