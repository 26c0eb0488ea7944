// Prefix tuning (Li & Liang 2021) as PEFT defines it: keys and values of V places stand in front of each layer's own. They are
// trained as they are, or behind a projection, and saved as the one tensor that holds them.
import { DataError } from "#src/domain/Errors.ts"
import type { PrefixConfig } from "#src/formats/adapter/prefix.ts"
import { add, tanh } from "#src/graph/ops/elementwise.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { expand, reshape, split, transpose } from "#src/graph/ops/shape.ts"
import type { Value } from "#src/graph/Value.ts"
import { initialTensors } from "#src/models/initialWeights.ts"
import type { Hooks, Model, Parameter, Weights } from "#src/models/Model.ts"
import type { Adapter, AdapterArgs, TextReading } from "./Adapter.ts"
import type { PrefixOptions } from "./options.ts"
import { encoder, savedAs, savedName, tensorsOf } from "./promptTensors.ts"

/** Where PEFT's encoder keeps the two layers of the projection. */
const [first, second] = ["prompt_encoder.transform.0", "prompt_encoder.transform.2"]

/** @throws DataError where options do not go together */
export const prefixConfigOf = ({ config }: Model, options: PrefixOptions, baseModel: string): PrefixConfig => {
  const { numVirtualTokens, projection, encoderHiddenSize, init } = options
  const refuse = (message: string, why: string, hint: string): never => {
    throw new DataError({ message, where: "method", why, hint })
  }
  if (encoderHiddenSize !== undefined && !projection)
    refuse(
      "encoderHiddenSize is set without projection",
      "it is the width inside of the projection",
      "set projection: true, or leave it out"
    )
  if (init !== "random" && projection)
    refuse(
      "init from a text does not go together with projection",
      "the text gives keys and values, and what the projection would have to be given for them cannot be told",
      "leave projection out, or begin at random"
    )
  const tokenDim = config.head_dim * config.num_key_value_heads
  return {
    peftType: "PREFIX_TUNING",
    baseModel,
    numVirtualTokens,
    tokenDim,
    numLayers: config.num_hidden_layers,
    numAttentionHeads: config.num_key_value_heads,
    ...(projection ? { encoderHiddenSize: encoderHiddenSize ?? tokenDim } : {})
  }
}

/** @throws DataError where the config is that of another model's prefix */
export const prefixAdapter = (model: Model, config: PrefixConfig): Adapter => {
  checkGeometry(model, config)
  const parameters = parametersOf(config)
  const adapterOver = (own: readonly Parameter[], embeddings: (param: AdapterArgs["param"]) => Value): Adapter => ({
    parameters: own,
    numVirtualTokens: config.numVirtualTokens,
    replaces: new Map(),
    dropout: { linears: [], share: 0 },
    hooks: ({ param }) => ({ prefix: inFront(config, embeddings(param)) }),
    initial: (_, seed) => initialTensors(own, seed)
  })
  const trained = adapterOver(parameters, (param) => encoded(config, param))
  const saved = adapterOver([savedAs([config.numVirtualTokens, widthOf(config)])], (param) => param(savedName))
  if (config.encoderHiddenSize !== undefined) {
    return { ...trained, saved: { adapter: saved, encode: (own) => tensorsOf([[savedName, () => project(config, own)]]) } }
  }
  return {
    ...trained,
    saved: {
      adapter: saved,
      encode: (own) => tensorsOf([[savedName, () => own.read(encoder)]]),
      decode: (own) => tensorsOf([[encoder, () => own.read(savedName)]])
    },
    fromText: {
      tokens: (ids) => firstTokens(ids, config.numVirtualTokens),
      initial: (reading) => tensorsOf([[encoder, () => packed(config, reading)]])
    }
  }
}

/** Of one place: keys and values of all layers. */
const widthOf = ({ numLayers, tokenDim }: PrefixConfig): number => 2 * numLayers * tokenDim

const checkGeometry = (model: Model, config: PrefixConfig): void => {
  const { num_hidden_layers: layers, num_key_value_heads: heads, head_dim } = model.config
  if (config.numLayers === layers && config.numAttentionHeads === heads && config.tokenDim === heads * head_dim) return
  throw new DataError({
    message: `the prefix is for ${config.numLayers} layers with ${config.numAttentionHeads} key heads, ${config.tokenDim} wide together`,
    why: `this ${model.modelType} model has ${layers} layers with ${heads} key heads, ${heads * head_dim} wide together`,
    hint: "use the adapter with the base that it was trained over"
  })
}

/** torch's defaults: an Embedding is normal, a Linear's weight and bias are uniform within 1 / sqrt(in). */
const parametersOf = (config: PrefixConfig): readonly Parameter[] => {
  const { numVirtualTokens: V, tokenDim, encoderHiddenSize: inner } = config
  const embedding = (width: number): Parameter => ({ name: encoder, shape: [V, width], decay: true, init: { kind: "normal", std: 1 } })
  if (inner === undefined) return [embedding(widthOf(config))]
  const linear = (path: string, out: number, width: number): readonly Parameter[] => {
    const init = { kind: "uniform", bound: 1 / Math.sqrt(width) } as const
    return [
      { name: `${path}.weight`, shape: [out, width], decay: true, init },
      { name: `${path}.bias`, shape: [out], decay: false, init }
    ]
  }
  return [embedding(tokenDim), ...linear(first, inner, tokenDim), ...linear(second, widthOf(config), inner)]
}

/** tanh(E A^T + a) B^T + b, or E itself: [V, 2 L d]. */
const encoded = ({ encoderHiddenSize }: PrefixConfig, param: AdapterArgs["param"]): Value => {
  if (encoderHiddenSize === undefined) return param(encoder)
  const linear = (path: string, x: Value): Value => add(matMul(x, param(`${path}.weight`), { transB: true }), param(`${path}.bias`))
  return linear(second, tanh(linear(first, param(encoder))))
}

/** The rows [V, 2 L d] as each layer's keys and values: layer i has the parts 2i and 2i + 1. They are never rotated. */
const inFront = (config: PrefixConfig, embeddings: Value): NonNullable<Hooks["prefix"]> => {
  const { numVirtualTokens: V, numLayers, numAttentionHeads: KV, tokenDim } = config
  const hd = tokenDim / KV
  const parts = split(transpose(reshape(embeddings, [V, 2 * numLayers, KV, hd]), [1, 2, 0, 3]), new Array<number>(2 * numLayers).fill(1), 0)
  const part = (i: number, batch: number): Value => expand(parts[i] as Value, [batch, KV, V, hd])
  return { length: V, keyValue: (layer, batch) => ({ key: part(2 * layer, batch), value: part(2 * layer + 1, batch) }) }
}

/** What the graph computes, once: summed in float64. */
const project = (config: PrefixConfig, own: Pick<Weights, "read">): Float32Array => {
  const { numVirtualTokens: V, tokenDim, encoderHiddenSize: inner = 0 } = config
  const linear = (path: string, x: Float64Array, width: number, out: number): Float64Array => {
    const [weight, bias] = [own.read(`${path}.weight`), own.read(`${path}.bias`)]
    const y = new Float64Array(V * out)
    for (let v = 0; v < V; v++)
      for (let o = 0; o < out; o++) {
        let sum = bias[o] as number
        for (let i = 0; i < width; i++) sum += (x[v * width + i] as number) * (weight[o * width + i] as number)
        y[v * out + o] = sum
      }
    return y
  }
  const middle = linear(first, Float64Array.from(own.read(encoder)), tokenDim, inner).map(Math.tanh)
  return Float32Array.from(linear(second, middle, inner, widthOf(config)))
}

/** @throws DataError where the text is too short */
const firstTokens = (ids: readonly number[], count: number): readonly number[] => {
  if (ids.length >= count) return ids.slice(0, count)
  throw new DataError({
    message: `the text of init has ${ids.length} tokens, numVirtualTokens is ${count}`,
    where: "method.init",
    why: "each virtual token begins as one of them",
    hint: `give a longer text, or set numVirtualTokens: ${ids.length}`
  })
}

/** Keys and values [KV, V, hd] of each layer as rows [V, 2 L d]. */
const packed = (config: PrefixConfig, { keys, values }: TextReading): Float32Array => {
  const { numVirtualTokens: V, numLayers, numAttentionHeads: KV, tokenDim } = config
  const hd = tokenDim / KV
  const rows = new Float32Array(V * widthOf(config))
  for (let layer = 0; layer < numLayers; layer++)
    for (const [half, source] of [keys[layer], values[layer]].entries())
      for (let head = 0; head < KV; head++)
        for (let v = 0; v < V; v++) {
          const at = ((v * numLayers + layer) * 2 + half) * tokenDim + head * hd
          const from = (head * V + v) * hd
          rows.set((source as Float32Array).subarray(from, from + hd), at)
        }
  return rows
}
