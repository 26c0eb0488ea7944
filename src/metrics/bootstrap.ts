// How sure a difference between two models on the same rows is: a paired bootstrap over rows (Efron and Tibshirani 1993, ch. 13;
// Koehn 2004 for paired resampling of test sets).
import { philox } from "#src/domain/random.ts"
import type { Figure, PairedParts } from "./figures.ts"

export interface Interval {
  readonly low: number
  readonly high: number
}

export interface BootstrapOptions {
  /** Unsigned 32-bit: the same seed gives the same interval. */
  readonly seed: number
  /** Default 1000. */
  readonly resamples?: number
  /** Default 0.95. */
  readonly level?: number
}

/**
 * Percentile interval of figure(model) - figure(baseline) over rows drawn with replacement, the same draw for both sides.
 * Undefined where there are no rows or where a resample has no value (all its rows are empty).
 */
export const pairedInterval = (figure: Figure, parts: PairedParts, options: BootstrapOptions): Interval | undefined => {
  const { seed, resamples = 1000, level = 0.95 } = options
  const differences = new Float64Array(resamples)
  for (let r = 0; r < resamples; r++) differences[r] = resampled(figure, parts, seed, r)
  if (parts.whole.length === 0 || !differences.every(Number.isFinite)) return undefined
  differences.sort()
  return { low: quantile(differences, (1 - level) / 2), high: quantile(differences, (1 + level) / 2) }
}

const resampled = (figure: Figure, { model, baseline, whole }: PairedParts, seed: number, resample: number): number => {
  const rows = whole.length
  let a = 0
  let b = 0
  let n = 0
  for (let drawn = 0; drawn < rows; drawn += 4) {
    const words = philox(drawn / 4, 0, resample, 0, seed, 0)
    for (let k = 0; k < 4 && drawn + k < rows; k++) {
      const row = Math.floor(((words[k] as number) / 2 ** 32) * rows)
      a += model[row] as number
      b += baseline[row] as number
      n += whole[row] as number
    }
  }
  return figure.of(a, n) - figure.of(b, n)
}

/** Of sorted values, linear between neighbours. */
const quantile = (sorted: Float64Array, p: number): number => {
  const at = p * (sorted.length - 1)
  const below = sorted[Math.floor(at)] as number
  return below + (at - Math.floor(at)) * ((sorted[Math.ceil(at)] as number) - below)
}
