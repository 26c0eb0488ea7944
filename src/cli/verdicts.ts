// Whether one of two runs is better, or the difference within what the choice of test rows explains.
import type { Score, Scores } from "#src/domain/Scores.ts"
import { type Interval, pairedInterval } from "#src/metrics/bootstrap.ts"
import { type FigureName, figures } from "#src/metrics/figures.ts"

export interface Verdict extends Interval {
  /** Of the second run against the first; a tie where the 95 % interval of the difference spans 0. */
  readonly verdict: "better" | "worse" | "tie"
  /** Rows that both scored. */
  readonly rows: number
}

/** Fixed, so that the same two runs are always told the same. */
const seed = 42

type Row = readonly [part: number, whole: number]

const rowsOf = ({ rows }: Score): ReadonlyMap<string, Row> =>
  new Map(
    rows?.ids.flatMap((id, i) => {
      const [part, whole] = [rows.part[i], rows.whole[i]]
      return typeof part === "number" && whole !== undefined ? [[id, [part, whole]] as const] : []
    })
  )

/** By a paired bootstrap over the rows that both runs scored; undefined where these were not counted alike (another tokenizer). */
const verdictOf = (name: FigureName, first: Score, second: Score): Verdict | undefined => {
  const [a, b] = [rowsOf(first), rowsOf(second)]
  const shared = [...a].flatMap(([id, before]) => {
    const after = b.get(id)
    return after === undefined ? [] : [{ before, after }]
  })
  if (shared.some(({ before, after }) => before[1] !== after[1])) return undefined
  const interval = pairedInterval(
    figures[name],
    {
      model: shared.map(({ after }) => after[0]),
      baseline: shared.map(({ before }) => before[0]),
      whole: shared.map(({ after }) => after[1])
    },
    { seed }
  )
  if (interval === undefined) return undefined
  const { low, high } = interval
  const verdict = low <= 0 && high >= 0 ? "tie" : low > 0 === (figures[name].better === "higher") ? "better" : "worse"
  return { low, high, verdict, rows: shared.length }
}

type StageScores = ReadonlyMap<string, Scores>

/** By "stage.figure", for the figures that both runs have rows of. */
export const verdictsOf = (first: StageScores, second: StageScores): ReadonlyMap<string, Verdict> =>
  new Map(
    [...first].flatMap(([stage, { metrics }]) =>
      Object.entries(metrics).flatMap(([name, score]) => {
        const other = second.get(stage)?.metrics[name]
        const verdict = other === undefined || !(name in figures) ? undefined : verdictOf(name as FigureName, score, other)
        return verdict === undefined ? [] : [[`${stage}.${name}`, verdict] as const]
      })
    )
  )
