// Low-rank adaptation as PEFT defines it: y = x W^T + b + scale (dropout(x) A^T) B^T, its variants rsLoRA and DoRA, adapters on
// the token embedding and the output head, biases and whole modules trained beside.
import type { LoraConfig } from "#src/formats/adapter/lora.ts"
import { add, div, mul, sqrt, stopGradient, sub } from "#src/graph/ops/elementwise.ts"
import { gather } from "#src/graph/ops/index.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { reduceSum } from "#src/graph/ops/reduce.ts"
import type { Value } from "#src/graph/Value.ts"
import { initialTensors } from "#src/models/initialWeights.ts"
import { plainLinear, project } from "#src/models/linear.ts"
import type { Linear, LinearCall, Model, Parameter, Weights } from "#src/models/Model.ts"
import type { Adapter, AdapterArgs } from "./Adapter.ts"
import { type LoraLayer, loraLayers, tensorsOf } from "./loraLayers.ts"
import { addProduct, mergeLayer, rowLengths } from "./loraMerge.ts"
import { biasesOfSaved, embeddingBases, headWeight, ownEmbedding, ownWeight, savedModules } from "./savedModules.ts"

/** @throws DataError where the config means no module of the model */
export const loraAdapter = (model: Model, config: LoraConfig): Adapter => {
  const layers = loraLayers(model, config)
  const saved = savedModules(model, config.modulesToSave ?? [], config.ensureWeightTying)
  const biases = trainedBiases(model, config, layers, saved.replaces)
  const copies = [...saved.tensors, ...biases]
  const byPath = new Map(layers.map((layer) => [layer.path, layer]))
  const embedding = byPath.get(model.embedding)
  const linears = layers.flatMap(({ linear }) => linear ?? [])
  const replaces = new Map([...saved.replaces, ...biases.map(({ parameter, from }) => [from, parameter.name] as const)])
  // Where head and embedding are one tensor, what changes only one of them has no place in the model.
  const inPlace =
    saved.apart === undefined && !(model.config.tie_word_embeddings && (byPath.has(model.embedding) || byPath.has(model.head.path)))
  const adapter: Adapter = {
    parameters: [...layers.flatMap(tensorsOf), ...copies.map(({ parameter }) => parameter)],
    replaces,
    alsoSaved: [
      ...saved.alsoSaved,
      ...embeddingBases(model, config.targetModules, (path) => byPath.has(path)),
      ...(config.bias === "all" ? biasesOfSaved(config.modulesToSave ?? [], saved) : [])
    ],
    dropout: { linears, share: config.loraDropout },
    hooks: ({ param, dropout }) => ({
      linear: (call) => {
        const own = { ...call, weight: ownWeight(model, saved, call.layer, call.weight, param) }
        const layer = byPath.get(call.layer.path)
        if (layer === undefined) return plainLinear(own)
        return layer.magnitude === undefined
          ? loraLinear(layer, own, param, dropout)
          : doraLinear(layer, layer.magnitude, own, param, dropout)
      },
      embedding: (ids, plain, scaled) => {
        const rows = ownEmbedding(model, saved, ids, plain, scaled, param)
        return embedding === undefined ? rows : add(rows, scaled(loraRows(model, embedding, ids, param)))
      }
    }),
    initial: (base, seed) => initialLora(model, layers, copies, base, seed)
  }
  return inPlace ? { ...adapter, merge: (base, own) => mergeLora(layers, replaces, base, own) } : adapter
}

type Dropout = AdapterArgs["dropout"]

/** scale (x A^T) B^T. */
const lowRank = ({ a, b, scale }: LoraLayer, x: Value, param: AdapterArgs["param"]): Value =>
  matMul(matMul(x, param(a.name), { transB: true }), param(b.name), { transB: true, alpha: scale })

/** Dropout is applied to the adapter's input only. */
const loraLinear = (layer: LoraLayer, call: LinearCall, param: AdapterArgs["param"], dropout: Dropout): Value =>
  add(plainLinear(call), lowRank(layer, dropout?.(call.layer, call.x) ?? call.x, param))

/**
 * DoRA (Liu et al. 2024): y = q (x W^T + scale x A^T B^T) + b with q = m / |W + scale B A|, lengths taken per output and as constants
 * of the gradient. With dropout, as in PEFT: y = x W^T + b + (q - 1) d(x) W^T + q scale d(x) A^T B^T.
 */
const doraLinear = (layer: LoraLayer, magnitude: Parameter, call: LinearCall, param: AdapterArgs["param"], dropout: Dropout): Value => {
  const { x, weight, bias } = call
  const [a, b] = [param(layer.a.name), param(layer.b.name)]
  const product =
    call.layer.transposed === true ? matMul(a, b, { transA: true, transB: true, alpha: layer.scale }) : matMul(b, a, { alpha: layer.scale })
  const merged = add(weight, product)
  const lengths = sqrt(reduceSum(mul(merged, merged), { axes: [call.layer.transposed === true ? 0 : 1] }))
  const q = div(param(magnitude.name), stopGradient(lengths))
  const dropped = dropout?.(call.layer, x) ?? x
  const low = lowRank(layer, dropped, param)
  if (dropped === x) {
    const y = mul(q, add(project(call.layer, x, weight), low))
    return bias === undefined ? y : add(y, bias)
  }
  const change = mul(sub(q, x.graph.constant(1, "float32", [])), project(call.layer, dropped, weight))
  return add(add(plainLinear(call), change), mul(q, low))
}

/** What the adapter adds to the embedding of ids [M]: scale A[:, ids]^T B^T. The padding token's column of A is not trained, as in PyTorch. */
const loraRows = (model: Model, { a, b, scale }: LoraLayer, ids: Value, param: AdapterArgs["param"]): Value => {
  const padding = model.config.pad_token_id
  const columns = gather(param(a.name), ids, { axis: 1, ...(padding === null ? {} : { paddingIdx: padding }) })
  return matMul(columns, param(b.name), { transA: true, transB: true, alpha: scale })
}

interface Copy {
  readonly parameter: Parameter
  /** The model's tensor that it begins as. */
  readonly from: string
}

/** The model's biases that are trained: none, all, or those of adapted layers. */
const trainedBiases = (
  model: Model,
  { bias }: LoraConfig,
  layers: readonly LoraLayer[],
  saved: ReadonlyMap<string, string>
): readonly Copy[] => {
  const adapted = new Set(layers.map(({ path }) => path))
  return model.parameters.flatMap((parameter) => {
    const { name } = parameter
    const module = name.slice(0, name.lastIndexOf("."))
    const wanted = name.endsWith(".bias") && (bias === "all" || (bias === "lora_only" && adapted.has(module)))
    if (!wanted || saved.has(name)) return []
    const own = adapted.has(module) ? `${module}.base_layer.bias` : name
    return [{ parameter: { ...parameter, name: `base_model.model.${own}` }, from: name }]
  })
}

const initialLora = (model: Model, layers: readonly LoraLayer[], copies: readonly Copy[], base: Weights, seed: number): Weights => {
  const own = initialTensors(layers.flatMap(tensorsOf), seed)
  const copied = new Map(copies.map(({ parameter, from }) => [parameter.name, from]))
  const measured = new Map(layers.flatMap((layer) => (layer.magnitude === undefined ? [] : [[layer.magnitude.name, layer] as const])))
  /** |W + scale B A| of a fresh adapter. */
  const lengths = (layer: LoraLayer): Float32Array => {
    const { path } = layer.linear as Linear
    const weight = base.read(path === model.head.path ? headWeight(model) : `${path}.weight`)
    addProduct(weight, layer, own)
    return rowLengths(weight, layer)
  }
  return {
    has: (name) => copied.has(name) || own.has(name),
    read: (name, into) => {
      const from = copied.get(name)
      if (from !== undefined) return base.read(from, into)
      const layer = measured.get(name)
      if (layer === undefined) return own.read(name, into)
      const values = lengths(layer)
      into?.set(values)
      return into ?? values
    }
  }
}

/** The base's weights with the adapter worked in. Computed when a tensor is read. */
const mergeLora = (layers: readonly LoraLayer[], replaces: ReadonlyMap<string, string>, base: Weights, own: Weights): Weights => {
  const targets = new Map(layers.map((layer) => [`${layer.path}.weight`, layer]))
  return {
    has: base.has,
    read: (name, into) => {
      const copy = replaces.get(name)
      if (copy !== undefined) return own.read(copy, into)
      const weight = base.read(name, into)
      const layer = targets.get(name)
      if (layer !== undefined) mergeLayer(weight, layer, own)
      return weight
    }
  }
}
