// Which part each row goes to: pure, decided by content and seed alone, so the order of the rows does not matter.
import { hash32 } from "#src/domain/random.ts"

export const parts = ["train", "validation", "test"] as const
export type Part = (typeof parts)[number]

/** `key` is equal for exact repetitions; `stratum` is the value whose shares are kept. */
export interface Item {
  readonly key: string
  readonly stratum: string
}

export interface Assignment {
  /** The part of each item, in the items' order. */
  readonly parts: readonly Part[]
  /** Strata with too few distinct rows to stand in every part: all of them are in train. */
  readonly small: readonly string[]
}

interface Group {
  readonly key: string
  readonly order: number
  rows: number
}

// Shares are written as decimals: 0.1 x 30 must not become 4 because of the 17th digit.
const rounding = 1e-9

/**
 * Rows of a part = ceil(share x rows), as scikit-learn's train_test_split counts them; strata get theirs by largest remainder.
 * Repetitions stay together, so a part may miss a row or two where a group does not fit. Train keeps a row of every stratum.
 */
export const assign = (
  items: readonly Item[],
  shares: { readonly validation: number; readonly test: number },
  seed: number
): Assignment => {
  const strata = groupsByStratum(items, seed)
  const wanted = 1 + Number(shares.validation > 0) + Number(shares.test > 0)
  const sorted = [...strata].sort(([a], [b]) => (a < b ? -1 : 1))
  const large = sorted.filter(([, groups]) => groups.length >= wanted)
  const partOf = new Map<string, Part>()
  for (const part of ["test", "validation"] as const) {
    const quotas = largestRemainder(
      large.map(([, groups]) => groups.reduce((sum, group) => sum + group.rows, 0)),
      Math.ceil(shares[part] * items.length - rounding)
    )
    large.forEach(([, groups], i) => fill(groups, quotas[i] as number, part, partOf))
  }
  return {
    parts: items.map(({ key }) => partOf.get(key) ?? "train"),
    small: sorted.filter(([, groups]) => groups.length < wanted).map(([stratum]) => stratum)
  }
}

const groupsByStratum = (items: readonly Item[], seed: number): ReadonlyMap<string, readonly Group[]> => {
  const groups = new Map<string, Group>()
  const strata = new Map<string, Group[]>()
  for (const { key, stratum } of items) {
    const known = groups.get(key)
    if (known !== undefined) {
      known.rows++
      continue
    }
    const group = { key, order: hash32(seed, "split", key), rows: 1 }
    groups.set(key, group)
    const list = strata.get(stratum)
    if (list === undefined) strata.set(stratum, [group])
    else list.push(group)
  }
  for (const list of strata.values()) list.sort((a, b) => a.order - b.order || (a.key < b.key ? -1 : 1))
  return strata
}

/** `total` shared out in proportion to `counts`: whole parts first, the rest to the largest remainders (earlier ones at a tie). */
export const largestRemainder = (counts: readonly number[], total: number): readonly number[] => {
  const sum = counts.reduce((a, b) => a + b, 0)
  const exact = counts.map((count) => (sum === 0 ? 0 : (total * count) / sum))
  const quotas = exact.map(Math.floor)
  const missing = total - quotas.reduce((a, b) => a + b, 0)
  const order = exact.map((x, i) => [x - Math.floor(x), i] as const).sort(([a, i], [b, j]) => b - a || i - j)
  for (const [, i] of order.slice(0, missing)) (quotas[i] as number) += 1
  return quotas
}

// Takes free groups in their random order while they fit, leaving the last one for train.
const fill = (groups: readonly Group[], quota: number, part: Part, partOf: Map<string, Part>): void => {
  let left = quota
  let free = groups.filter((group) => !partOf.has(group.key)).length
  for (const group of groups) {
    if (partOf.has(group.key) || group.rows > left || free === 1) continue
    partOf.set(group.key, part)
    left -= group.rows
    free--
  }
}
