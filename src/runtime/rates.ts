// Learning rate and weight decay of each tensor: its own factor and kind, and the groups that the options make.
import { fitsPattern } from "#src/domain/pattern.ts"
import type { TrainableSpec } from "./ParamStore.ts"
import type { Rates } from "./updateTensor.ts"

export interface ParameterGroup {
  /** Patterns on tensor names, * for any text; a tensor belongs to the first group that has one that fits. */
  readonly match: readonly string[]
  readonly learningRateScale?: number
  /** Peak rate instead of the training's. */
  readonly learningRate?: number
  readonly weightDecay?: number
}

export interface RateOptions {
  readonly learningRate: number
  readonly weightDecay: number
  readonly parameterGroups?: readonly ParameterGroup[]
}

export const groupOf = (groups: readonly ParameterGroup[], name: string): ParameterGroup | undefined =>
  groups.find(({ match }) => match.some((pattern) => fitsPattern(pattern, name)))

/** Factor of the scheduled rate, and weight decay. A group's factor takes the place of the tensor's own; norms and biases never decay. */
const settingsOf = (options: RateOptions, spec: TrainableSpec): { readonly scale: number; readonly weightDecay: number } => {
  const group = groupOf(options.parameterGroups ?? [], spec.name)
  const own = group?.learningRate === undefined ? undefined : group.learningRate / options.learningRate
  return {
    scale: group?.learningRateScale ?? own ?? spec.learningRateScale ?? 1,
    weightDecay: spec.decay ? (group?.weightDecay ?? options.weightDecay) : 0
  }
}

/** The rates of one step by its scheduled rate, for the tensors that were named. */
export const tensorRates = (options: RateOptions, specs: readonly TrainableSpec[]) => {
  const settings = new Map(specs.map((spec) => [spec.name, settingsOf(options, spec)]))
  return (rate: number) =>
    ({ name }: TrainableSpec): Rates => {
      const { scale = 1, weightDecay = 0 } = settings.get(name) ?? {}
      return { learningRate: scale * rate, weightDecay }
    }
}
