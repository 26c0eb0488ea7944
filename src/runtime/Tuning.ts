// What a training method makes of a model: which tensors are trained, which stay, and how the forward pass changes.
import type { Adapter } from "#src/adapters/Adapter.ts"
import { withLoraPlus } from "#src/adapters/loraplus.ts"
import type { FullOptions, Method } from "#src/adapters/options.ts"
import { adapterOf, configOf } from "#src/adapters/peft.ts"
import { DataError } from "#src/domain/Errors.ts"
import { nearest } from "#src/domain/nearest.ts"
import { fitsPattern } from "#src/domain/pattern.ts"
import type { Optimizer } from "#src/graph/optimizer.ts"
import type { Model, Parameter, Weights } from "#src/models/Model.ts"
import { quantizedWeights } from "#src/models/quantized.ts"
import { freeze, type Frozen } from "./Frozen.ts"
import { ParamStore } from "./ParamStore.ts"

export interface Tuning {
  readonly trainables: readonly Parameter[]
  readonly frozen: readonly Parameter[]
  /** Absent where the model's own tensors are trained. */
  readonly adapter?: Adapter
}

/**
 * Reads no weight. `learningRate` is that of the training, for methods whose tensors learn at rates of their own.
 * @throws DataError where the method asks for what the model does not have
 */
export const tuningOf = (model: Model, method: Method, learningRate: number): Tuning => {
  if (method.type === "full") return fullTuning(model, method)
  const adapter = adapterOf(model, configOf(model, method, ""))
  const trainables =
    method.type === "lora" || method.type === "qlora" ? withLoraPlus(adapter.parameters, method, learningRate) : adapter.parameters
  return { trainables, frozen: model.parameters.filter(({ name }) => !adapter.replaces.has(name)), adapter }
}

const fullTuning = ({ parameters, modelType }: Model, { trainable }: FullOptions): Tuning => {
  if (trainable === undefined) return { trainables: parameters, frozen: [] }
  const fits = (pattern: string, { name, alias }: Parameter): boolean => {
    return fitsPattern(pattern, name) || (alias !== undefined && fitsPattern(pattern, alias))
  }
  const lost = trainable.find((pattern) => !parameters.some((parameter) => fits(pattern, parameter)))
  if (lost !== undefined) {
    const near = nearest(
      lost,
      parameters.map(({ name }) => name)
    )
    throw new DataError({
      message: `trainable: no tensor of this ${modelType} model fits "${lost}"`,
      where: "method",
      hint: `${near === undefined ? "" : `did you mean ${near}? `}its tensors are named as ${parameters[1]?.name}; * stands for any text`
    })
  }
  const isTrained = (parameter: Parameter): boolean => trainable.some((pattern) => fits(pattern, parameter))
  return { trainables: parameters.filter(isTrained), frozen: parameters.filter((parameter) => !isTrained(parameter)) }
}

/** The base's weights as the method holds them. */
export const baseOf = (model: Model, weights: Weights, method: Method): Weights =>
  method.type === "qlora" ? quantizedWeights(model, weights, method) : weights

/** The weights of a tuning in memory, once each. */
export interface Tuned {
  readonly tuning: Tuning
  readonly store: ParamStore
  readonly frozen: readonly Frozen[]
}

export interface TuneOptions {
  /** A step sums several micro-batches. */
  readonly accumulates: boolean
  /** The training pulls the weights towards the initial ones, which are kept then. */
  readonly anchored?: boolean
  /** Of an adapter's fresh tensors. */
  readonly seed: number
  /** The adapter's tensors to begin with, instead of fresh ones. */
  readonly start?: Weights
  /** Default: AdamW. */
  readonly optimizer?: Optimizer
  /** Frozen tensors stay in their files; default true. A device with memory of its own takes one copy of each for all sessions. */
  readonly mapped?: boolean
  /** Of the norm and the update, where they are made on the host; 0: one per core; default 1. */
  readonly threads?: number
}

/** Reads the base's weights: those of baseOf. @throws DataError where weights in 4 bits would be trained */
export const tune = (
  tuning: Tuning,
  weights: Weights,
  { accumulates, anchored, seed, start, optimizer, mapped = true, threads }: TuneOptions
): Tuned => {
  refuseFourBit(tuning.trainables, weights)
  const store = new ParamStore(tuning.trainables, accumulates, anchored, optimizer, threads)
  const initial = start ?? tuning.adapter?.initial(weights, seed) ?? weights
  begin(store, initial)
  return { tuning, store, frozen: freeze(tuning.frozen, weights, { mapped }) }
}

/** Fills the trained tensors with their first values. */
export const begin = (store: ParamStore, initial: Weights): void => {
  for (const { name, p } of store.trainables) initial.read(name, p)
  store.anchor()
}

const refuseFourBit = (trainables: readonly Parameter[], weights: Weights): void => {
  const fourBit = trainables.find(({ name }) => weights.quantized?.(name) !== undefined)
  if (fourBit === undefined) return
  throw new DataError({
    message: "weights in 4 bits cannot be trained",
    where: fourBit.name,
    hint: "train an adapter over them with lora(), or start from a base with plain weights"
  })
}

/** The seed of an adapter's fresh tensors: the training's and, where it has one, the method's own. */
export const seedOf = (method: Method, seed: number): number => (seed + ("seed" in method ? method.seed : 0)) >>> 0
