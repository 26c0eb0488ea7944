// Dynamic loss scaling (Micikevicius et al. 2018), as torch.amp.GradScaler: gradients of a scaled loss do not vanish in float16; where they overflow,
// the step is skipped and the scale halved; after many steps without overflow it is doubled. Powers of two, so that nothing is rounded.
import * as Schema from "effect/Schema"

export const LossScale = Schema.Struct({
  scale: Schema.Finite,
  /** Steps in a row without overflow since the scale last changed. */
  good: Schema.Int
})
export type LossScale = typeof LossScale.Type

/** torch's defaults: init_scale, growth_factor, backoff_factor, growth_interval. */
const [first, growth, backoff, interval] = [2 ** 16, 2, 0.5, 2000]

export const initialLossScale: LossScale = { scale: first, good: 0 }

export const afterGood = ({ scale, good }: LossScale): LossScale =>
  good + 1 === interval ? { scale: scale * growth, good: 0 } : { scale, good: good + 1 }

/** Undefined where the scale is 1 or less: then it is not the scale that overflows. */
export const afterOverflow = ({ scale }: LossScale): LossScale | undefined => (scale <= 1 ? undefined : { scale: scale * backoff, good: 0 })

/** The scale after so many more steps without overflow; 1 where none is kept. */
export const scaleAhead = (state: LossScale | undefined, steps: number): number => {
  let ahead = state
  for (let step = 0; step < steps; step++) ahead = ahead && afterGood(ahead)
  return ahead?.scale ?? 1
}
