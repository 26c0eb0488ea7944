// (IA)^3 as PEFT defines it: y = (x W^T + b) * l with a learned vector l, or y = (x * l) W^T + b for layers of the feed-forward part.
import type { Ia3Config } from "#src/formats/adapter/ia3.ts"
import { mul } from "#src/graph/ops/elementwise.ts"
import { reshape } from "#src/graph/ops/shape.ts"
import { initialTensors } from "#src/models/initialWeights.ts"
import { plainLinear } from "#src/models/linear.ts"
import type { Linear, Model, Parameter, Weights } from "#src/models/Model.ts"
import type { Adapter } from "./Adapter.ts"
import type { Ia3Options } from "./options.ts"
import { targetLinears } from "./targets.ts"

export const ia3ConfigOf = ({ targets }: Model, options: Ia3Options, baseModel: string): Ia3Config => ({
  peftType: "IA3",
  baseModel,
  targetModules: options.targetModules ?? targets.ia3,
  feedforwardModules: options.feedforwardModules ?? (options.targetModules === undefined ? targets.ia3Feedforward : [])
})

/** Name of the tensor as PEFT saves it. */
const nameOf = (path: string): string => `base_model.model.${path}.ia3_l`

interface Target {
  readonly linear: Linear
  readonly feedforward: boolean
}

const targetsOf = (model: Model, config: Ia3Config): ReadonlyMap<string, Target> => {
  const linears = targetLinears(model, config.targetModules)
  // Found for its error only: a feed-forward module must be one of the targets.
  targetLinears({ ...model, linears }, config.feedforwardModules, "feedforwardModules")
  const feedforward = (path: string): boolean => config.feedforwardModules.some((module) => path.endsWith(module))
  return new Map(linears.map((linear) => [linear.path, { linear, feedforward: feedforward(linear.path) }]))
}

/** [1, in] or [out, 1], beginning as 1, so that a fresh adapter changes nothing. @throws DataError where a name fits no layer */
export const ia3Adapter = (model: Model, config: Ia3Config): Adapter => {
  const targets = targetsOf(model, config)
  const parameters = [...targets.values()].map(({ linear, feedforward }): Parameter => ({
    name: nameOf(linear.path),
    shape: feedforward ? [1, linear.inFeatures] : [linear.outFeatures, 1],
    decay: true,
    init: { kind: "constant", value: 1 }
  }))
  return {
    parameters,
    replaces: new Map(),
    dropout: { linears: [], share: 0 },
    hooks: ({ param }) => ({
      linear: (call) => {
        const target = targets.get(call.layer.path)
        if (target === undefined) return plainLinear(call)
        const vector = reshape(param(nameOf(call.layer.path)), [-1])
        return target.feedforward ? plainLinear({ ...call, x: mul(call.x, vector) }) : mul(plainLinear(call), vector)
      }
    }),
    initial: (_, seed) => initialTensors(parameters, seed),
    merge: (base, own) => mergeIa3(targets, base, own)
  }
}

/** W scaled by the vector: its columns (inputs) for the feed-forward part, else its rows (outputs) and the bias. */
const mergeIa3 = (targets: ReadonlyMap<string, Target>, base: Weights, own: Weights): Weights => ({
  has: base.has,
  read: (name, into) => {
    const values = base.read(name, into)
    const at = name.lastIndexOf(".")
    const target = targets.get(name.slice(0, at))
    if (target === undefined) return values
    const vector = own.read(nameOf(target.linear.path))
    if (name.slice(at) === ".bias") {
      if (!target.feedforward) for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) * (vector[i] as number)
      return values
    }
    // In a weight [out, in] inputs are columns; in GPT-2's [in, out] they are rows.
    const byColumn = target.feedforward !== (target.linear.transposed === true)
    const width = target.linear.transposed === true ? target.linear.outFeatures : target.linear.inFeatures
    for (let i = 0; i < values.length; i++) {
      values[i] = (values[i] as number) * (vector[byColumn ? i % width : Math.floor(i / width)] as number)
    }
    return values
  }
})
