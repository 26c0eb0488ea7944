// Figures of both sides from what was measured row by row.
import { pairedInterval } from "#src/metrics/bootstrap.ts"
import { type FigureName, figures, type PairedParts, sum } from "#src/metrics/figures.ts"
import type { Score } from "#src/domain/Scores.ts"
import type { Measured } from "./measure.ts"

/** Fixed: the interval belongs to the scores, which must come out the same each time. */
const seed = 42

export interface Sides {
  readonly model: Measured
  readonly baseline: Measured
}

/** `bytes` of each row's text in UTF-8, where it is known; then bitsPerByte can be asked too. */
export const scoreOf = (name: FigureName, sides: Sides, bytes: ArrayLike<number>): Score => {
  const { of, better } = figures[name]
  const parts = partsOf(name, sides, bytes)
  const whole = sum(parts.whole)
  const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)
  const difference = pairedInterval(figures[name], parts, { seed })
  return {
    model: finite(of(sum(parts.model), whole)),
    baseline: finite(of(sum(parts.baseline), whole)),
    better,
    ...(difference === undefined ? {} : { difference })
  }
}

const partsOf = (name: FigureName, { model, baseline }: Sides, bytes: ArrayLike<number>): PairedParts => {
  if (name === "exactMatch")
    return { model: model.matches.map(Number), baseline: baseline.matches.map(Number), whole: model.matches.map(() => 1) }
  const [a, b] = [model.scores, baseline.scores]
  if (a === undefined || b === undefined) throw new RangeError(`${name} was not measured`)
  if (name === "tokenAccuracy") return { model: a.correct, baseline: b.correct, whole: a.targets }
  return { model: a.nll, baseline: b.nll, whole: name === "perplexity" ? a.targets : bytes }
}
