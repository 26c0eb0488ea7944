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

/** What was scored: ids of all rows, of those that were asked, and the bytes of each row's text in UTF-8, where bitsPerByte is asked. */
export interface Scored {
  readonly ids: readonly string[]
  readonly asked: readonly string[]
  readonly bytes: ArrayLike<number>
}

export const scoreOf = (name: FigureName, sides: Sides, { ids, asked, bytes }: Scored): Score => {
  const { of, better } = figures[name]
  const parts = partsOf(name, sides, bytes)
  const whole = sum(parts.whole)
  const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)
  const difference = pairedInterval(figures[name], parts, { seed })
  return {
    model: finite(of(sum(parts.model), whole)),
    baseline: finite(of(sum(parts.baseline), whole)),
    better,
    rows: rowsOf(name === "exactMatch" ? asked : ids, parts, finite),
    ...(difference === undefined ? {} : { difference })
  }
}

/** The model's side, without rows that count nothing. */
const rowsOf = (ids: readonly string[], { model, whole }: PairedParts, finite: (value: number) => number | null) => {
  const counted = [...ids.keys()].filter((row) => whole[row] !== 0)
  return {
    ids: counted.map((row) => ids[row] as string),
    part: counted.map((row) => finite(model[row] as number)),
    whole: counted.map((row) => whole[row] as number)
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
