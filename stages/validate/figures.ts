// What is countable about rows: empty fields, exact repetitions, lengths, classes.
import type { Row, RowKind } from "#src/domain/rows.ts"
import { contentKey, textsOf, wordCount, words } from "#src/text/rowContent.ts"

export interface Figures {
  readonly rows: number
  /** Fields without a word (strip() is ''). `byField` counts every field, `rows` those with a field that must not be empty. */
  readonly empty: { readonly byField: Readonly<Record<string, number>>; readonly rows: number }
  /** Rows minus distinct rows. */
  readonly duplicates: number
  /** Words of a row: between whitespace, over all its texts but a class label. */
  readonly words: { readonly mean: number; readonly median: number; readonly max: number }
  /** Rows with more than `factor` x the mean words. */
  readonly outliers: number
  /** Classification rows: rows by class, in order of size, and largest / smallest. */
  readonly classes?: Readonly<Record<string, number>>
  readonly imbalance?: number
}

// The only field whose emptiness means something of its own: an instruction without context.
const mayBeEmpty = "input"

/** Never fails: no rows give figures of 0. */
export const figuresOf = (kind: RowKind, rows: readonly Row[], factor: number): Figures => {
  const byField: Record<string, number> = {}
  const distinct = new Set<string>()
  const classes = new Map<string, number>()
  let emptyRows = 0
  for (const row of rows) {
    const empty = textsOf(row).filter(([, text]) => words(text).length === 0)
    for (const name of new Set(empty.map(([name]) => name.replace(/\[\d+\]/, "")))) byField[name] = (byField[name] ?? 0) + 1
    if (empty.some(([name]) => name !== mayBeEmpty)) emptyRows++
    distinct.add(contentKey(kind, row))
    if ("label" in row) classes.set(row.label, (classes.get(row.label) ?? 0) + 1)
  }
  const lengths = rows.map(wordCount).sort((a, b) => a - b)
  const mean = rows.length === 0 ? 0 : lengths.reduce((sum, n) => sum + n, 0) / rows.length
  const middle = lengths.slice((lengths.length - 1) >> 1, (lengths.length >> 1) + 1)
  const bySize = [...classes].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
  return {
    rows: rows.length,
    empty: { byField, rows: emptyRows },
    duplicates: rows.length - distinct.size,
    words: { mean, median: middle.reduce((sum, n) => sum + n, 0) / Math.max(1, middle.length), max: lengths.at(-1) ?? 0 },
    outliers: lengths.filter((n) => n > factor * mean).length,
    ...(bySize.length === 0 ? {} : { classes: Object.fromEntries(bySize), imbalance: (bySize[0]?.[1] ?? 0) / (bySize.at(-1)?.[1] ?? 1) })
  }
}
