// How unusual a value is among those before it.

/** Distance from the mean of `before` in standard deviations; undefined while there are fewer than `least`, or where all are equal. */
export const zScore = (before: readonly number[], value: number, least = 8): number | undefined => {
  if (before.length < least) return undefined
  const mean = before.reduce((sum, x) => sum + x, 0) / before.length
  const deviation = Math.sqrt(before.reduce((sum, x) => sum + (x - mean) ** 2, 0) / before.length)
  return deviation === 0 ? undefined : (value - mean) / deviation
}
