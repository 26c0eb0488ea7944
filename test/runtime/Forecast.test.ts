// The forecast of a training's memory against bytes counted by hand, over a model of one layer.
import { describe, expect, test } from "vitest"
import type { Method } from "#src/adapters/options.ts"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { optimizerDefaults } from "#src/graph/optimizer.ts"
import { modelOf } from "#src/models/families.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { type Forecast, forecast, type ForecastOptions } from "#src/runtime/Forecast.ts"
import { noRegularization } from "#src/runtime/regularize.ts"
import type { Frozen } from "#src/runtime/Frozen.ts"
import { standIns } from "#src/runtime/standIns.ts"
import { baseOf, tune, tuningOf } from "#src/runtime/Tuning.ts"
import { fullMethod, loraMethod, qloraMethod } from "../adapters/method.ts"

const config = {
  model_type: "llama",
  vocab_size: 100,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false
}
const model = modelOf(parseConfig(JSON.stringify(config), "test"), "test")
/** q, k, v, o, gate, up, down */
const linears = 64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 128 * 64
/** Embedding and head, three norms. */
const others = 2 * 100 * 64 + 3 * 64

const of = (method: Method, options: Partial<ForecastOptions> = {}): Forecast =>
  forecast({
    model,
    tuning: tuningOf(model, method, 1e-3),
    method,
    dtype: "float32",
    optimizer: optimizerDefaults.adamw,
    batchSize: 2,
    shapes: [{ length: 16, targets: 32 }],
    validationShapes: [],
    accumulates: false,
    anchored: false,
    layout: undefined,
    gradientCheckpointing: false,
    regularization: noRegularization,
    workers: 1,
    ...options
  })

describe("forecast", () => {
  test("full: weights, gradients, two moments; the parts add up", () => {
    const found = of(fullMethod())
    const all = 4 * (linears + others)
    expect(found).toMatchObject({ weights: all, gradients: all, optimizer: 2 * all, validation: 0, workers: 0 })
    // [2, 16] ids, and [32] positions, targets and weights; packing's places and segments are made too.
    expect(found.inputs).toBe(3 * 8 * 32 + (8 + 8 + 4) * 32)
    const { total, ...parts } = found
    expect(Object.values(parts).reduce((sum, bytes) => sum + bytes, 0)).toBe(total)
  })

  test("accumulation adds a sum, l2ToBase the initial weights, the optimizer its own state", () => {
    const all = 4 * (linears + others)
    expect(of(fullMethod(), { accumulates: true, anchored: true })).toMatchObject({ weights: 2 * all, gradients: 2 * all })
    expect(of(fullMethod(), { optimizer: optimizerDefaults.sgd }).optimizer).toBe(0)
    expect(of(fullMethod(), { optimizer: optimizerDefaults.lion }).optimizer).toBe(all)
    const [rows, columns] = [100 + 64 + 32 + 32 + 64 + 128 + 128 + 64 + 100, 64 + 64 + 64 + 64 + 64 + 64 + 64 + 128 + 64]
    // Rows and columns of the matrices, 8 bytes a column of scratch, and the norms' own squares.
    expect(of(fullMethod(), { optimizer: optimizerDefaults.adafactor }).optimizer).toBe(4 * (rows + 3 * columns + 3 * 64))
  })

  test("logits: those that are alive when most memory is", () => {
    // 2 x 16 places, a vocabulary so large that the head is the peak: the logits' log softmax and its gradient among others.
    const wide = modelOf(parseConfig(JSON.stringify({ ...config, vocab_size: 5000 }), "test"), "test")
    const found = of(loraMethod({ r: 2 }), { model: wide, tuning: tuningOf(wide, loraMethod({ r: 2 }), 1e-3) })
    expect(found.logits).toBe(4 * 32 * 5000)
    expect(found.activations).toBeGreaterThan(0)
  })

  test("adapters: gradients and state of the adapter alone, the base in the form in which it is held", () => {
    const trained = 4 * 2 * (64 + 64 + 64 + 32)
    const lora = of(loraMethod({ r: 2 }))
    expect(lora).toMatchObject({ weights: 4 * (linears + others) + trained, gradients: trained, optimizer: 2 * trained })
    expect(of(loraMethod({ r: 2 }), { dtype: "bfloat16" }).weights).toBe(2 * (linears + others) + trained)
    const single = of(qloraMethod({ r: 2, doubleQuant: false }))
    expect(single.weights).toBe(linears / 2 + 4 * (linears / 64) + 4 * others + trained)
    const reading = { stored: () => ({ name: "", dtype: "F16", shape: [], path: "", start: 0, end: 0 }) }
    expect(of(loraMethod({ r: 2 }), { weights: reading }).weights).toBe(2 * (linears + others) + trained)
  })

  test.each([
    ["lora", loraMethod({ r: 2 })],
    ["qlora", qloraMethod({ r: 2 })],
    ["qlora without double quantisation", qloraMethod({ r: 2, doubleQuant: false })]
  ])("%s: stand-ins have the inputs and bytes of what stands behind them", (_, method) => {
    const tuning = tuningOf(model, method, 1e-3)
    const seen = (each: Frozen) => ({
      ...each,
      value: null,
      inputs: each.inputs.map(({ name, dtype, shape }) => ({ name, dtype, shape }))
    })
    const { frozen } = tune(tuning, baseOf(model, initialWeights(model, 1), method), { accumulates: false, seed: 1 })
    expect(standIns(model, tuning.frozen, { method, dtype: "float32" }).map(seen)).toEqual(frozen.map(seen))
  })

  test("checkpointing, dropout, more shapes, validation and workers change what they should", () => {
    const long = { shapes: [{ length: 64, targets: 128 }] }
    const plain = of(fullMethod(), long)
    expect(of(fullMethod(), { ...long, shapes: [...long.shapes, { length: 32, targets: 64 }] }).activations).toBeGreaterThan(
      plain.activations
    )
    expect(of(fullMethod(), { ...long, validationShapes: long.shapes }).validation).toBeGreaterThan(0)
    const dropped = of(fullMethod(), { ...long, regularization: { ...noRegularization, attentionDropout: 0.1 } })
    expect(dropped.inputs - plain.inputs).toBe(4 * 2 * 2 * 64 * 64)
    const deep = modelOf(parseConfig(JSON.stringify({ ...config, num_hidden_layers: 9 }), "test"), "test")
    const lora = loraMethod({ r: 2 })
    const nine = { ...long, model: deep, tuning: tuningOf(deep, lora, 1e-3) }
    expect(of(lora, { ...nine, gradientCheckpointing: true }).activations).toBeLessThan(0.5 * of(lora, nine).activations)
    const two = of(fullMethod(), { ...long, accumulates: true, workers: 2 })
    const one = of(fullMethod(), { ...long, accumulates: true })
    expect(two.total).toBe(one.total + (one.total - one.optimizer) + 2 * one.weights)
  })
})
