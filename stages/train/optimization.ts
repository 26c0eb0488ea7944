// The train stage's options about optimizer and schedule, and which of them belong together. Options of one choice only (AdamW's
// betas, a schedule's numbers) are absent unless given, so that a key holds nothing that does not matter.
import * as Schema from "effect/Schema"
import { Count, field, optional, Positive, PositiveInt, Share } from "#src/domain/config.ts"
import { DefinitionError } from "#src/domain/Errors.ts"
import type { ParameterGroup } from "#src/runtime/rates.ts"
import { curves, type OptimizerKind, optimizerKinds, type ScheduleKind, scheduleKinds } from "#src/runtime/TrainerOptions.ts"

const NotNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Beta = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999999 }))

const Group = Schema.Struct({
  match: Schema.NonEmptyArray(Schema.NonEmptyString),
  learningRateScale: Schema.optionalKey(Positive),
  learningRate: Schema.optionalKey(Positive),
  weightDecay: Schema.optionalKey(NotNegative)
})

export const optimizationFields = {
  optimizer: field(Schema.Literals(optimizerKinds), "adamw", "what turns gradients into changes of the weights"),
  learningRate: field(Positive, 5e-5, "peak learning rate"),
  weightDecay: field(
    NotNegative,
    0,
    "weight decay, decoupled from the gradient (sgd: added to it, as torch does); norms and biases are left out"
  ),
  parameterGroups: optional(
    Schema.Array(Group),
    "rates of their own for the tensors that match a pattern (* stands for any text): a factor of the learning rate or a peak rate, and a weight decay; the first group that fits counts"
  ),
  adamBeta1: optional(Beta, "adamw: share of the past in the mean gradient; default 0.9"),
  adamBeta2: optional(Beta, "adamw: the same of the mean square; default 0.999"),
  adamEpsilon: optional(Positive, "adamw: added to the root of the mean square; default 1e-8"),
  lionBeta1: optional(Beta, "lion: share of the past in the direction; default 0.9"),
  lionBeta2: optional(Beta, "lion: the same in what is kept of it; default 0.99"),
  momentum: optional(Beta, "sgd: share of the past that is added to the gradient; default 0, which keeps no state"),
  decayRate: optional(
    Schema.Finite.check(Schema.isLessThan(0)),
    "adafactor: step t keeps 1 - t^decayRate of the mean squares before it; default -0.8"
  ),
  clipThreshold: optional(Positive, "adafactor: largest root mean square of an update before the learning rate; default 1"),
  adafactorEpsilon: optional(
    Schema.Tuple([Positive, Positive]),
    "adafactor: added to squared gradients, and the least size of weights that scaleParameter counts with; default [1e-30, 1e-3]"
  ),
  scaleParameter: optional(
    Schema.Boolean,
    "adafactor: the learning rate is relative to the size of each tensor's weights; default false, as in transformers' Trainer"
  ),
  maxGradNorm: field(NotNegative, 1, "gradients are scaled down to this global L2 norm; 0 turns clipping off"),
  onNonFinite: field(
    Schema.Literals(["fail", "skip"]),
    "fail",
    "a loss or gradient that is NaN or infinite: fail, or leave the step out (weights, optimizer and schedule stay as they are)"
  ),
  maxSkippedSteps: optional(PositiveInt, "with onNonFinite skip: fail after so many skipped steps in a row; default 10"),
  schedule: field(
    Schema.Literals(scheduleKinds),
    "linear",
    "how the learning rate changes from step to step, as transformers' lr_scheduler_type"
  ),
  warmupRatio: optional(Share, "share of the steps over which the rate rises from 0; default 0"),
  warmupSteps: optional(Count, "the same as a number of steps; one of the two"),
  minLr: optional(NotNegative, "cosineWithMinLr, cosineWarmupWithMinLr: lowest rate"),
  minLrRate: optional(Share, "the same as a share of learningRate; one of the two"),
  warmupLrRate: optional(Share, "cosineWarmupWithMinLr: first rate as a share of learningRate; default 1 / warmup steps"),
  numCycles: optional(Positive, "waves of a cosine, default 0.5; cosineWithRestarts: how often it runs down, default 1"),
  lrEnd: optional(NotNegative, "polynomial: rate at the end; default 1e-7"),
  power: optional(Positive, "polynomial: exponent; default 1"),
  timescale: optional(
    PositiveInt,
    "inverseSqrt: the rate falls with 1 / sqrt(1 + steps since the warmup / timescale); default: the warmup's steps, or 10000"
  ),
  stableSteps: optional(Count, "warmupStableDecay: steps at the peak; default: what warmup and decay leave of the run"),
  decaySteps: optional(PositiveInt, "warmupStableDecay: steps of the decay at the end"),
  warmupType: optional(Schema.Literals(curves), "warmupStableDecay: curve of the warmup; default linear"),
  decayType: optional(Schema.Literals(curves), "warmupStableDecay: curve of the decay; default cosine"),
  minLrRatio: optional(Share, "warmupStableDecay: lowest rate as a share of learningRate; default 0")
} as const

type Options = Schema.Struct<typeof optimizationFields>["Type"]
type Option = keyof Options

const warmup = ["warmupRatio", "warmupSteps"] as const
const byOptimizer: Readonly<Record<OptimizerKind, readonly Option[]>> = {
  adamw: ["adamBeta1", "adamBeta2", "adamEpsilon"],
  adafactor: ["decayRate", "clipThreshold", "adafactorEpsilon", "scaleParameter"],
  lion: ["lionBeta1", "lionBeta2"],
  sgd: ["momentum"]
}
const bySchedule: Readonly<Record<ScheduleKind, readonly Option[]>> = {
  linear: warmup,
  cosine: [...warmup, "numCycles"],
  cosineWithRestarts: [...warmup, "numCycles"],
  cosineWithMinLr: [...warmup, "numCycles", "minLr", "minLrRate"],
  cosineWarmupWithMinLr: [...warmup, "numCycles", "minLr", "minLrRate", "warmupLrRate"],
  polynomial: [...warmup, "lrEnd", "power"],
  constant: [],
  constantWithWarmup: warmup,
  inverseSqrt: [...warmup, "timescale"],
  warmupStableDecay: [...warmup, "numCycles", "stableSteps", "decaySteps", "warmupType", "decayType", "minLrRatio"]
}
const byNonFinite = { fail: [], skip: ["maxSkippedSteps"] } as const satisfies Readonly<Record<string, readonly Option[]>>

const refusal = (option: string, message: string, hint: string): DefinitionError =>
  new DefinitionError({ message, where: `train.${option}`, hint })

/** An option of another choice would silently do nothing. */
const refuseUnused = <K extends string>(
  options: Options,
  choice: Option,
  chosen: K,
  table: Readonly<Record<K, readonly Option[]>>
): void => {
  const used: readonly Option[] = table[chosen]
  const lists = Object.entries(table) as [K, readonly Option[]][]
  for (const option of new Set(lists.flatMap(([, names]) => names))) {
    if (options[option] === undefined || used.includes(option)) continue
    const users = lists.filter(([, names]) => names.includes(option)).map(([name]) => name)
    throw refusal(
      option,
      `${option} is set, but ${choice} is ${chosen}, which does not use it`,
      `leave ${option} out, or set ${choice} to ${users.join(" or ")}`
    )
  }
}

/** @throws DefinitionError where options do not go together, or one is missing */
export const checkOptimization = (options: Options): void => {
  refuseUnused(options, "optimizer", options.optimizer, byOptimizer)
  refuseUnused(options, "schedule", options.schedule, bySchedule)
  refuseUnused(options, "onNonFinite", options.onNonFinite, byNonFinite)
  const { schedule, learningRate, warmupSteps, warmupRatio, minLr, minLrRate, lrEnd = 1e-7 } = options
  if (warmupSteps !== undefined && warmupRatio !== undefined)
    throw refusal("warmupSteps", "warmupSteps and warmupRatio are both set", "give one of them: they say the same in two ways")
  if (bySchedule[schedule].includes("minLr") && (minLr === undefined) === (minLrRate === undefined))
    throw refusal(
      "minLr",
      `schedule ${schedule} takes either minLr or minLrRate`,
      "give one of them: the lowest rate, or its share of learningRate"
    )
  if (schedule === "polynomial" && lrEnd >= learningRate)
    throw refusal("lrEnd", `lrEnd, ${lrEnd}, is not below learningRate, ${learningRate}`, "lower lrEnd, or raise learningRate")
  if (schedule === "warmupStableDecay" && options.decaySteps === undefined)
    throw refusal("decaySteps", "schedule warmupStableDecay needs decaySteps", "set decaySteps to the steps of the decay at the end")
  options.parameterGroups?.forEach(checkGroup)
}

const checkGroup = (group: ParameterGroup, i: number): void => {
  const { learningRate, learningRateScale, weightDecay } = group
  const at = `parameterGroups[${i}]`
  if (learningRate !== undefined && learningRateScale !== undefined)
    throw refusal(at, `${at} sets both learningRate and learningRateScale`, "give one of them")
  if (learningRate === undefined && learningRateScale === undefined && weightDecay === undefined)
    throw refusal(at, `${at} changes nothing`, "give it a learningRateScale, a learningRate or a weightDecay")
}
