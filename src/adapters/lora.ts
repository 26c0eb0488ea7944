// Low-rank adaptation as PEFT defines it: y = x W^T + (loraAlpha / r) (dropout(x) A^T) B^T, with A [r, in] and B [out, r].
import type { LoraConfig } from "#src/formats/adapter/lora.ts"
import { add } from "#src/graph/ops/elementwise.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { initialTensors } from "#src/models/initialWeights.ts"
import { plainLinear } from "#src/models/linear.ts"
import type { Linear, Model, Parameter, Weights } from "#src/models/Model.ts"
import type { Adapter } from "./Adapter.ts"
import type { LoraOptions } from "./options.ts"
import { namedModules, targetLinears } from "./targets.ts"

/** What the graph needs of a config. */
export type LoraShape = Pick<LoraConfig, "r" | "loraAlpha" | "targetModules">

/** Tensor names as PEFT saves them. */
const nameA = (path: string): string => `base_model.model.${path}.lora_A.weight`
const nameB = (path: string): string => `base_model.model.${path}.lora_B.weight`

const targetsOf = (model: Model, { targetModules }: LoraShape): readonly Linear[] => targetLinears(model, targetModules)

export const loraConfigOf = (model: Model, options: LoraOptions, baseModel: string): LoraConfig => ({
  peftType: "LORA",
  baseModel,
  r: options.r,
  loraAlpha: options.loraAlpha,
  loraDropout: options.loraDropout,
  targetModules: namedModules(model, options.targetModules)
})

/** The adapter's tensors. A starts as PEFT's kaiming_uniform(a = sqrt 5), which is U(-1/sqrt(in), 1/sqrt(in)); B starts as 0. */
export const loraParameters = (model: Model, options: LoraShape): readonly Parameter[] =>
  targetsOf(model, options).flatMap(({ path, inFeatures, outFeatures }): readonly Parameter[] => [
    { name: nameA(path), shape: [options.r, inFeatures], decay: true, init: { kind: "uniform", bound: 1 / Math.sqrt(inFeatures) } },
    { name: nameB(path), shape: [outFeatures, options.r], decay: true, init: { kind: "constant", value: 0 } }
  ])

/** A fresh adapter changes nothing yet, because B is 0. Dropout is applied to the adapter's input only. */
export const loraAdapter = (model: Model, options: LoraShape & { readonly loraDropout?: number }): Adapter => {
  const targets = targetsOf(model, options)
  const paths = new Set(targets.map(({ path }) => path))
  const parameters = loraParameters(model, options)
  return {
    parameters,
    replaces: new Map(),
    dropout: { linears: targets, share: options.loraDropout ?? 0 },
    hooks: ({ param, dropout }) => ({
      linear: (call) => {
        const { layer, x } = call
        const base = plainLinear(call)
        if (!paths.has(layer.path)) return base
        const low = matMul(dropout?.(layer, x) ?? x, param(nameA(layer.path)), { transB: true })
        return add(base, matMul(low, param(nameB(layer.path)), { transB: true, alpha: options.loraAlpha / options.r }))
      }
    }),
    initial: (_, seed) => initialTensors(parameters, seed),
    merge: (base, own) => mergeLora(model, options, base, own)
  }
}

/** The base model's weights with the adapter worked in: W + (loraAlpha / r) B A. Computed when a tensor is read. */
const mergeLora = (model: Model, options: LoraShape, base: Weights, adapter: Weights): Weights => {
  const targets = new Map(targetsOf(model, options).map((linear) => [`${linear.path}.weight`, linear]))
  return {
    has: base.has,
    read: (name, into) => {
      const weight = base.read(name, into)
      const linear = targets.get(name)
      if (linear !== undefined) addProduct(weight, adapter.read(nameB(linear.path)), adapter.read(nameA(linear.path)), linear, options)
      return weight
    }
  }
}

/** weight += (loraAlpha / r) B A, summed in float64. */
const addProduct = (
  weight: Float32Array,
  b: Float32Array,
  a: Float32Array,
  { inFeatures, outFeatures }: Linear,
  options: LoraShape
): void => {
  const { r, loraAlpha } = options
  const row = new Float64Array(inFeatures)
  for (let out = 0; out < outFeatures; out++) {
    row.fill(0)
    for (let k = 0; k < r; k++) {
      const factor = b[out * r + k] as number
      for (let i = 0; i < inFeatures; i++) row[i] = (row[i] as number) + factor * (a[k * inFeatures + i] as number)
    }
    for (let i = 0; i < inFeatures; i++) {
      const at = out * inFeatures + i
      weight[at] = (weight[at] as number) + (loraAlpha / r) * (row[i] as number)
    }
  }
}
