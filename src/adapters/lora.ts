// Low-rank adaptation as PEFT defines it: y = x W^T + (loraAlpha / r) (dropout(x) A^T) B^T, with A [r, in] and B [out, r].
import { DataError } from "#src/domain/Errors.ts"
import { add } from "#src/graph/ops/elementwise.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { initialTensors } from "#src/models/initialWeights.ts"
import { plainLinear } from "#src/models/linear.ts"
import type { Linear, Model, Parameter, Weights } from "#src/models/Model.ts"
import type { Adapter } from "./Adapter.ts"

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

/** A fresh adapter changes nothing yet, because B is 0. Dropout is applied to the adapter's input only. */
export const loraAdapter = (model: Model, options: LoraShape & { readonly loraDropout?: number }): Adapter => {
  const targets = loraTargets(model, options)
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
