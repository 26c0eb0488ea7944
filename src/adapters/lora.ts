// Low-rank adaptation as PEFT defines it: y = x W^T + (loraAlpha / r) (dropout(x) A^T) B^T, with A [r, in] and B [out, r].
import { DataError } from "#src/domain/Errors.ts"
import { add, mul } from "#src/graph/ops/elementwise.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import type { Value } from "#src/graph/Value.ts"
import { initialTensors } from "#src/models/initialWeights.ts"
import type { Linear, LinearHook, Model, Parameter, Weights } from "#src/models/Model.ts"

/** What graph and files need of the options; both LoraOptions and a saved adapter's config have it. */
export interface LoraShape {
  readonly r: number
  readonly loraAlpha: number
  readonly targetModules: "all-linear" | readonly string[]
}

/** Tensor names as PEFT saves them. */
const nameA = (path: string): string => `base_model.model.${path}.lora_A.weight`
const nameB = (path: string): string => `base_model.model.${path}.lora_B.weight`

const matches = (path: string, module: string): boolean => path === module || path.endsWith(`.${module}`)

/**
 * The linear layers that get an adapter: those whose path ends with one of the module names, or all but the output head.
 * @throws DataError where a name fits no layer
 */
export const loraTargets = (model: Model, { targetModules }: LoraShape): readonly Linear[] => {
  if (targetModules === "all-linear") return model.linears
  const unknown = targetModules.find((module) => !model.linears.some(({ path }) => matches(path, module)))
  if (unknown === undefined) return model.linears.filter(({ path }) => targetModules.some((module) => matches(path, module)))
  const available = new Set(model.linears.map(({ path }) => path.split(".").at(-1)))
  throw new DataError({
    message: `targetModules: no linear layer of this ${model.modelType} model is named "${unknown}"`,
    why: `available: ${[...available].join(", ")}, or "all-linear"`
  })
}

/** The adapter's tensors. A starts as PEFT's kaiming_uniform(a = sqrt 5), which is U(-1/sqrt(in), 1/sqrt(in)); B starts as 0. */
export const loraParameters = (model: Model, options: LoraShape): readonly Parameter[] =>
  loraTargets(model, options).flatMap(({ path, inFeatures, outFeatures }): readonly Parameter[] => [
    { name: nameA(path), shape: [options.r, inFeatures], decay: true, init: { kind: "uniform", bound: 1 / Math.sqrt(inFeatures) } },
    { name: nameB(path), shape: [outFeatures, options.r], decay: true, init: { kind: "constant", value: 0 } }
  ])

/** A fresh adapter's tensors, by the names of `loraParameters`; it changes nothing yet, because B is 0. */
export const initLora = (model: Model, options: LoraShape, seed: number): Weights => initialTensors(loraParameters(model, options), seed)

/**
 * The layers' computation with the adapter. `dropoutMask` gives a layer's mask [M, in], 0 or 1 / (1 - p), while training with
 * dropout; it is applied to the adapter's input only.
 */
export const loraLinear = (
  model: Model,
  options: LoraShape,
  param: (name: string) => Value,
  dropoutMask?: (linear: Linear) => Value | undefined
): LinearHook => {
  const targets = new Set(loraTargets(model, options).map(({ path }) => path))
  return (x, linear, weight) => {
    const base = matMul(x, weight, { transB: true })
    if (!targets.has(linear.path)) return base
    const mask = dropoutMask?.(linear)
    const low = matMul(mask === undefined ? x : mul(x, mask), param(nameA(linear.path)), { transB: true })
    return add(base, matMul(low, param(nameB(linear.path)), { transB: true, alpha: options.loraAlpha / options.r }))
  }
}

/** The base model's weights with the adapter worked in: W + (loraAlpha / r) B A. Computed when a tensor is read. */
export const mergeLora = (model: Model, options: LoraShape, base: Weights, adapter: Weights): Weights => {
  const targets = new Map(loraTargets(model, options).map((linear) => [`${linear.path}.weight`, linear]))
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
