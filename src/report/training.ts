// The live figures of a stage as one line: loss with its z-score, validation loss with its step, learning rate, gradient norm, speed, rest.
import type { StageView } from "#src/domain/RunView.ts"
import { zScore } from "#src/domain/zScore.ts"
import { bytes, compact, duration, fixed, number } from "./format.ts"
import type { Theme } from "./Theme.ts"

/** Names of the figures that the train stage reports; any other name is shown as it is. */
export const figures = {
  loss: "loss",
  validation: "validationLoss",
  learningRate: "learningRate",
  gradNorm: "gradNorm",
  speed: "tokensPerSecond"
} as const

/** Exponential moving average with weight 0.9 on the past, corrected for its short start as Adam's moments are. */
export const smooth = (history: readonly number[]): number | undefined =>
  history.length === 0 ? undefined : history.reduce((sum, value) => 0.9 * sum + 0.1 * value, 0) / (1 - 0.9 ** history.length)

/** How far the stage is; the figures of a step may come before the progress that counts it. */
const doneOf = ({ progress, step }: StageView): number =>
  progress === null ? (step ?? 0) : progress.unit.startsWith("step") ? Math.max(step ?? 0, progress.done) : progress.done

/** Milliseconds left, from the pace since this attempt's first progress; undefined while nothing moved. */
export const remaining = (stage: StageView, now: string): number | undefined => {
  const progress = stage.progress
  const done = doneOf(stage)
  if (progress === null || done <= progress.first.done) return undefined
  const pace = (Date.parse(now) - Date.parse(progress.first.time)) / (done - progress.first.done)
  return Math.max(0, pace * (progress.total - done))
}

const deviations = (theme: Theme, stage: StageView, name: string): string => {
  const history = stage.history[name] ?? []
  const z = stage.live[name]?.value === null ? undefined : zScore(history.slice(0, -1), history.at(-1) ?? 0)
  return z === undefined ? "" : ` (${z < 0 ? "" : "+"}${z.toFixed(1)}${theme.sigma})`
}

const validation = (theme: Theme, stage: StageView): string | undefined => {
  const newest = stage.live[figures.validation]
  if (newest === undefined) return undefined
  const past = (stage.history[figures.validation] ?? []).slice(0, -1)
  const trend = past.length === 0 || newest.value === null ? "" : ` ${newest.value < Math.min(...past) ? theme.better : theme.worse}`
  return `val ${fixed(newest.value)}@${newest.step}${trend}`
}

/** "step 620/1000" or "row 40/64"; a stage with figures but no progress shows its step. */
export const position = (stage: StageView): string => {
  const { progress, step } = stage
  if (progress === null) return step === null ? "" : `step ${step}`
  return `${progress.unit.replace(/s$/, "")} ${number(doneOf(stage))}/${number(progress.total)}`
}

/** The named figures in reading order, without position and rest. */
export const figureList = (theme: Theme, stage: StageView): readonly string[] => {
  const { live } = stage
  const value = (name: string): number | null => live[name]?.value ?? null
  const known: readonly string[] = Object.values(figures)
  return [
    figures.loss in live ? `loss ${fixed(value(figures.loss))}${deviations(theme, stage, figures.loss)}` : undefined,
    validation(theme, stage),
    figures.learningRate in live ? `lr ${number(value(figures.learningRate))}` : undefined,
    figures.gradNorm in live ? `norm ${fixed(value(figures.gradNorm))}${deviations(theme, stage, figures.gradNorm)}` : undefined,
    figures.speed in live ? `${compact(value(figures.speed) ?? 0)} tok/s` : undefined,
    ...Object.keys(live)
      .filter((name) => !known.includes(name))
      .map((name) => `${name} ${number(value(name))}`),
    stage.rss === null ? undefined : bytes(stage.rss)
  ].filter((part) => part !== undefined)
}

/** One whole line; `now` is the time of the newest event, so that a journal read later gives the same text. */
export const trainingLine = (theme: Theme, stage: StageView, now: string): string => {
  const rest = remaining(stage, now)
  return [position(stage), ...figureList(theme, stage), rest === undefined || rest === 0 ? undefined : `eta ${duration(rest)}`]
    .filter((part) => part !== undefined && part !== "")
    .join(" ")
}
