// (IA)^3 as PEFT defines it: y = (x W^T + b) * l with a learned vector l, or y = (x * l) W^T + b for layers of the feed-forward part.
import { DataError } from "#src/domain/Errors.ts"
import { given } from "#src/formats/adapter/fields.ts"
import type { Ia3Config } from "#src/formats/adapter/ia3.ts"
import { mul } from "#src/graph/ops/elementwise.ts"
import { reshape } from "#src/graph/ops/shape.ts"
import { initialTensors } from "#src/models/initialWeights.ts"
import { plainLinear } from "#src/models/linear.ts"
import type { Linear, Model, Parameter, Weights } from "#src/models/Model.ts"
import type { Adapter } from "./Adapter.ts"
import type { Ia3Options } from "./options.ts"
import { checkSavedModules, embeddingBases, ownEmbedding, ownWeight, savedModules } from "./savedModules.ts"
import { checkTargets, targetsOf, writtenModules } from "./targets.ts"

/** @throws DataError naming the option that does not fit the model, with what would */
export const ia3ConfigOf = (model: Model, options: Ia3Options, baseModel: string): Ia3Config => {
  const { targets, linears } = model
  const targetModules = options.targetModules ?? targets.ia3
  const config: Ia3Config = {
    ...given("excludeModules", options.excludeModules),
    ...given("modulesToSave", options.modulesToSave),
    peftType: "IA3",
    baseModel,
    targetModules: writtenModules(model, targetModules),
    feedforwardModules: options.feedforwardModules ?? (options.targetModules === undefined ? targets.ia3Feedforward : []),
    fanInFanOut: linears.some(({ transposed }) => transposed === true)
  }
  checkTargets(model, { ...config, targetModules })
  const adapted = targetsOf(model, config).linears.map(({ path }) => path)
  checkSavedModules(model, config.modulesToSave ?? [], adapted)
  const lost = [config.feedforwardModules].flat().find((module) => !adapted.some((path) => isFeedforward(path, [module])))
  if (lost !== undefined && typeof config.feedforwardModules !== "string")
    throw new DataError({
      message: `feedforwardModules: "${lost}" is none of targetModules`,
      where: "method",
      hint: `name it in targetModules too; they are: ${[targetModules].flat().join(", ")}`
    })
  return config
}

/** PEFT asks only for the end of the path, also inside a name. */
const isFeedforward = (path: string, modules: string | readonly string[]): boolean =>
  typeof modules === "string" ? new RegExp(`^(?:${modules})$`).test(path) : modules.some((module) => path.endsWith(module))

/** Name of the tensor as PEFT saves it. */
const nameOf = (path: string): string => `base_model.model.${path}.ia3_l`

interface Target {
  readonly linear: Linear
  readonly feedforward: boolean
}

const targetLinears = (model: Model, config: Ia3Config): ReadonlyMap<string, Target> => {
  const { linears, embedding } = targetsOf(model, config)
  if (embedding)
    throw new DataError({ message: `targetModules: (IA)^3 scales linear layers only, not ${model.embedding}`, hint: "leave it out" })
  return new Map(linears.map((linear) => [linear.path, { linear, feedforward: isFeedforward(linear.path, config.feedforwardModules) }]))
}

/** [1, in] or [out, 1], beginning as 1, so that a fresh adapter changes nothing. @throws DataError where the config means no linear layer */
export const ia3Adapter = (model: Model, config: Ia3Config): Adapter => {
  const targets = targetLinears(model, config)
  const saved = savedModules(model, config.modulesToSave ?? [], false)
  const vectors = [...targets.values()].map(({ linear, feedforward }): Parameter => ({
    name: nameOf(linear.path),
    shape: feedforward ? [1, linear.inFeatures] : [linear.outFeatures, 1],
    decay: true,
    init: { kind: "constant", value: 1 }
  }))
  const copied = new Map(saved.tensors.map(({ parameter, from }) => [parameter.name, from]))
  const adapter: Adapter = {
    parameters: [...vectors, ...saved.tensors.map(({ parameter }) => parameter)],
    replaces: saved.replaces,
    alsoSaved: [...saved.alsoSaved, ...embeddingBases(model, config.targetModules, (path) => targets.has(path))],
    dropout: { linears: [], share: 0 },
    hooks: ({ param }) => ({
      linear: (call) => {
        const own = { ...call, weight: ownWeight(model, saved, call.layer, call.weight, param) }
        const target = targets.get(call.layer.path)
        if (target === undefined) return plainLinear(own)
        const vector = reshape(param(nameOf(call.layer.path)), [-1])
        return target.feedforward ? plainLinear({ ...own, x: mul(call.x, vector) }) : mul(plainLinear(own), vector)
      },
      embedding: (ids, plain, scaled) => ownEmbedding(model, saved, ids, plain, scaled, param)
    }),
    initial: (base, seed) => {
      const own = initialTensors(vectors, seed)
      return {
        has: (name) => copied.has(name) || own.has(name),
        read: (name, into) => {
          const from = copied.get(name)
          return from === undefined ? own.read(name, into) : base.read(from, into)
        }
      }
    }
  }
  // A head that is one tensor with the embedding cannot be scaled alone.
  const inPlace = saved.apart === undefined && !(model.config.tie_word_embeddings && targets.has(model.head.path))
  return inPlace ? { ...adapter, merge: (base, own) => mergeIa3(targets, saved.replaces, base, own) } : adapter
}

/** W scaled by the vector: its columns (inputs) for the feed-forward part, else its rows (outputs) and the bias. */
const mergeIa3 = (targets: ReadonlyMap<string, Target>, replaces: ReadonlyMap<string, string>, base: Weights, own: Weights): Weights => ({
  has: base.has,
  read: (name, into) => {
    const copy = replaces.get(name)
    if (copy !== undefined) return own.read(copy, into)
    const values = base.read(name, into)
    const at = name.lastIndexOf(".")
    const target = targets.get(name.slice(0, at))
    if (target === undefined) return values
    const { linear, feedforward } = target
    const vector = own.read(nameOf(linear.path))
    if (name.slice(at) === ".bias") {
      if (!feedforward) for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) * (vector[i] as number)
      return values
    }
    // In a weight [out, in] inputs are columns; in GPT-2's [in, out] they are rows.
    const byColumn = feedforward !== (linear.transposed === true)
    const width = linear.transposed === true ? linear.outFeatures : linear.inFeatures
    for (let i = 0; i < values.length; i++) {
      values[i] = (values[i] as number) * (vector[byColumn ? i % width : Math.floor(i / width)] as number)
    }
    return values
  }
})
