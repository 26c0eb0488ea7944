// The code tables of bitsandbytes: what a 4-bit or 8-bit index stands for, in units of its block's largest magnitude.

export type QuantType = "nf4" | "fp4"

/** NormalFloat4 (Dettmers et al. 2023, appendix E): quantiles of the normal distribution, with an exact 0. */
const nf4 = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1
)

/** Sign, two bits of exponent, one of mantissa; index 1 is the subnormal. The codes are scaled to a maximum of 1. */
const fp4 = Float32Array.from([0, 0.0625, 8, 12, 4, 6, 2, 3], (code) => code / 12)

/** The 16 values by index. */
export const codesOf: Readonly<Record<QuantType, Float32Array>> = {
  nf4,
  fp4: Float32Array.of(...fp4, 0, ...fp4.subarray(1).map((code) => -code))
}

/** torch.linspace in float32: counted from both ends, product and sum rounded once. */
const linspace = (start: number, end: number, count: number): Float32Array => {
  const [a, b] = [Math.fround(start), Math.fround(end)]
  const step = Math.fround(Math.fround(b - a) / (count - 1))
  return Float32Array.from({ length: count }, (_, i) => (i < count / 2 ? a + step * i : b - step * (count - 1 - i)))
}

/** Seven decades below 1, the topmost in 64 steps and each lower one in half as many; their negatives, 0 and 1. */
const dynamicMap = (): Float32Array => {
  const decades = Array.from({ length: 7 }, (_, i) => {
    const edges = linspace(0.1, 1, 2 ** i + 1)
    const means = edges.subarray(1).map((edge, k) => Math.fround((edges[k] as number) + edge) / 2)
    return [...means.map((mean) => Math.fround(10 ** (i - 6)) * mean)]
  })
  const positive = decades.flat()
  return Float32Array.of(...positive, ...positive.map((value) => -value), 0, 1).sort()
}

/** The signed dynamic map (create_dynamic_map): 256 ascending values, -0.993 to 1, that the scales are stored in. */
export const dynamicCodes = dynamicMap()

export interface Ranks {
  /** Indices of the codes in ascending order of their value. */
  readonly order: Uint8Array
  /** Half-way between neighbours: the code of a value is that of the number of midpoints below it, so that a tie goes down. */
  readonly midpoints: Float32Array
}

export const ranksOf = (codes: Float32Array): Ranks => {
  const order = Uint8Array.from([...codes.keys()].toSorted((a, b) => (codes[a] as number) - (codes[b] as number) || a - b))
  const sorted = Float32Array.from(order, (index) => codes[index] as number)
  return { order, midpoints: sorted.subarray(1).map((code, i) => Math.fround((sorted[i] as number) + code) / 2) }
}
