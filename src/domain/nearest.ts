// "Did you mean": the known name nearest to a mistyped one.

/** Edits (insert, delete, replace, swap of neighbours) from a to b. */
export const distance = (a: string, b: string): number => {
  let [older, previous] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let best = Math.min((previous[j] as number) + 1, (row[j - 1] as number) + 1, (previous[j - 1] as number) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, (older[j - 2] as number) + 1)
      row.push(best)
    }
    ;[older, previous] = [previous, row]
  }
  return previous[b.length] as number
}

/** The nearest of `names`, or undefined where none is near enough to be a typing error. */
export const nearest = (name: string, names: readonly string[]): string | undefined => {
  const limit = Math.max(2, Math.floor(name.length / 2))
  const ranked = names
    .map((candidate) => ({ candidate, edits: candidate.startsWith(name) ? 1 : distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .toSorted((a, b) => a.edits - b.edits)
  return ranked[0] !== undefined && ranked[0].edits <= limit ? ranked[0].candidate : undefined
}

/** "did you mean x? known: a, b, x" for the `hint` of an error. */
export const hintFor = (name: string, names: readonly string[]): string => {
  const near = nearest(name, names)
  const known = names.length === 0 ? "there is none yet" : `known: ${names.slice(0, 12).join(", ")}${names.length > 12 ? ", ..." : ""}`
  return near === undefined ? known : `did you mean ${near}? ${known}`
}
