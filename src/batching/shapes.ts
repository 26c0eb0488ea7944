// Static shapes for batches of varying length: a graph is built per shape, so there are few, chosen to waste little padding.

/** What a batch needs (`rows` beside each other, the longest row's positions, all trained positions), or a shape offers. */
export interface BatchShape {
  /** Positions per row. */
  readonly length: number
  /** Trained positions in the whole batch. */
  readonly targets: number
}

const multiple = 16
const roundUp = (n: number, most = Infinity): number => Math.max(n, Math.min(Math.ceil(Math.max(1, n) / multiple) * multiple, most))

/**
 * At most `limit` shapes, shortest first, each large enough for the batches whose length it is the next to hold. Lengths
 * are the cut points with the least padding in total (dynamic programming over the distinct lengths); another shape
 * must save 5 % of the positions, since each costs a graph, a session and its memory. No batch is padded beyond `positions`,
 * those that the model has.
 */
export const chooseShapes = (batches: readonly BatchShape[], positions: number, limit = 3): readonly BatchShape[] => {
  const counts = new Map<number, number>()
  for (const batch of batches) {
    const length = roundUp(batch.length, positions)
    counts.set(length, (counts.get(length) ?? 0) + 1)
  }
  const lengths = [...counts.keys()].sort((a, b) => a - b)
  const cuts = cutPoints(
    lengths,
    lengths.map((length) => counts.get(length) as number),
    limit
  )
  return cuts.map((length, i) => {
    const held = batches.filter((batch) => batch.length <= length && (i === 0 || batch.length > (cuts[i - 1] as number)))
    return { length, targets: roundUp(held.reduce((most, batch) => Math.max(most, batch.targets), 0)) }
  })
}

// costs[j], paths[j]: the cheapest way to cover the lengths up to the j-th with the cuts found so far, the last at the j-th.
const cutPoints = (lengths: readonly number[], counts: readonly number[], limit = 3): readonly number[] => {
  const before = [0]
  counts.forEach((count, i) => before.push((before[i] as number) + count))
  const span = (from: number, to: number): number => ((before[to] as number) - (before[from] as number)) * (lengths[to - 1] as number)
  let costs = lengths.map((_, i) => span(0, i + 1))
  let paths: (readonly number[])[] = lengths.map((length) => [length])
  for (let k = 1; k < Math.min(limit, lengths.length); k++) {
    const previous = { costs, paths }
    const next = lengths.map((length, j) => {
      let cost = Infinity
      let path: readonly number[] = []
      for (let i = 0; i < j; i++) {
        const sum = (previous.costs[i] as number) + span(i + 1, j + 1)
        if (sum < cost) [cost, path] = [sum, [...(previous.paths[i] as readonly number[]), length]]
      }
      return { cost, path }
    })
    if ((next.at(-1)?.cost ?? Infinity) > 0.95 * (previous.costs.at(-1) as number)) break
    costs = next.map((n) => n.cost)
    paths = next.map((n) => n.path)
  }
  return paths.at(-1) ?? []
}

/** The first of the chosen shapes that holds a batch. */
export const shapeOf = (shapes: readonly BatchShape[], batch: BatchShape): BatchShape => {
  const found = shapes.find((shape) => shape.length >= batch.length && shape.targets >= batch.targets)
  if (found === undefined) throw new RangeError(`no shape holds a batch of length ${batch.length} with ${batch.targets} targets`)
  return found
}
