// Adafactor as reference arithmetic and as a graph: a matrix keeps the mean squares of its rows and columns, not of each element.
// The SIMD kernels (runtime/kernels/adafactor.as.ts) compute the same formula in float32, sums in float64.
import { add, div, greater, mul, reciprocal, sqrt, sub, where } from "../ops/elementwise.ts"
import { reduceMean } from "../ops/reduce.ts"
import { reshape } from "../ops/shape.ts"
import type { Value } from "../Value.ts"
import { laneSum } from "./clip.ts"
import { exact } from "./round.ts"

export interface AdafactorOptions {
  readonly learningRate: number
  readonly weightDecay: number
  /** beta2 of step t is 1 - t^decayRate. */
  readonly decayRate: number
  /** Largest root mean square of an update before the learning rate. */
  readonly clipThreshold: number
  /** Added to squared gradients; and the least size of a weight that `scaleParameter` counts with. */
  readonly epsilon: readonly [number, number]
  /** The rate is relative to the root mean square of the tensor's weights. */
  readonly scaleParameter: boolean
}

export interface AdafactorFactors {
  readonly learningRate: number
  /** 1 - learningRate * weightDecay */
  readonly decay: number
  readonly beta2: number
  readonly rest2: number
  readonly epsilon: number
  readonly clipThreshold: number
}

/** Factors of step `t`, counted from 1, for a tensor whose weights have the root mean square `size`. */
export const adafactorFactors = (o: AdafactorOptions, t: number, size: number): AdafactorFactors => {
  const learningRate = o.scaleParameter ? o.learningRate * Math.max(o.epsilon[1], size) : o.learningRate
  const rest2 = t ** o.decayRate
  return {
    learningRate,
    decay: 1 - learningRate * o.weightDecay,
    beta2: 1 - rest2,
    rest2,
    epsilon: o.epsilon[0],
    clipThreshold: o.clipThreshold
  }
}

/** Rate that is left once the update's root mean square, from its sum of squares over `size` elements, is clipped. */
export const adafactorRate = ({ learningRate, clipThreshold }: AdafactorFactors, squares: number, size: number): number =>
  learningRate / Math.max(1, Math.sqrt(squares / size) / clipThreshold)

type Numbers = ArrayLike<number>

/**
 * Shazeer and Stern 2018, as transformers.Adafactor without a first moment, over a matrix p [rows, columns]:
 * q = g^2 + eps;  row <- b2 row + (1 - b2) mean_j q;  col <- b2 col + (1 - b2) mean_i q
 * u = g / (sqrt(row / mean(row)) sqrt(col));  p <- p (1 - lr wd) - lr u / max(1, rms(u) / threshold)
 * Means over a row are `laneSum`s, over a column sums from the first row to the last; the squares of u are summed row by row.
 * `clip` scales g first. Every operation but the float64 sums is rounded by `round`.
 */
export const adafactorMatrix = (
  { p, row, col }: { readonly p: Numbers; readonly row: Numbers; readonly col: Numbers },
  g: Numbers,
  f: AdafactorFactors,
  clip = 1,
  round = exact
): { readonly p: readonly number[]; readonly row: readonly number[]; readonly col: readonly number[] } => {
  const r = round
  const [rows, columns] = [row.length, col.length]
  const g1 = Array.from(g, (x) => r(r(x) * r(clip)))
  const at = (i: number, j: number): number => g1[i * columns + j] as number
  const square = (i: number, j: number): number => r(r(at(i, j) * at(i, j)) + r(f.epsilon))
  const mixed = (old: number, mean: number): number => r(r(old * r(f.beta2)) + r(mean * r(f.rest2)))
  const row1 = Array.from(row, (old, i) => mixed(old, r(laneSum(columns, (j) => square(i, j)) / columns)))
  const col1 = Array.from(col, (old, j) => {
    let sum = 0
    for (let i = 0; i < rows; i++) sum += square(i, j)
    return mixed(old, r(sum / rows))
  })
  const mean = r(laneSum(rows, (i) => row1[i] as number) / rows)
  const byRow = row1.map((x) => r(1 / r(Math.sqrt(r(x / mean)))))
  const byColumn = col1.map((x) => r(1 / r(Math.sqrt(x))))
  const update = (i: number, j: number): number => r(r((byRow[i] as number) * (byColumn[j] as number)) * at(i, j))
  let squares = 0
  for (let i = 0; i < rows; i++) squares += laneSum(columns, (j) => update(i, j) ** 2)
  const rate = r(adafactorRate(f, squares, rows * columns))
  const p1 = Array.from(p, (x, k) => r(r(x * r(f.decay)) - r(rate * update(Math.floor(k / columns), k % columns))))
  return { p: p1, row: row1, col: col1 }
}

/** The same over a vector, whose every element keeps its own mean square: v <- b2 v + (1 - b2) q;  u = g / sqrt(v). */
export const adafactorVector = (
  { p, v }: { readonly p: Numbers; readonly v: Numbers },
  g: Numbers,
  f: AdafactorFactors,
  clip = 1,
  round = exact
): { readonly p: readonly number[]; readonly v: readonly number[] } => {
  const r = round
  const g1 = Array.from(g, (x) => r(r(x) * r(clip)))
  const v1 = Array.from(v, (old, i) => {
    const q = r(r((g1[i] as number) * (g1[i] as number)) + r(f.epsilon))
    return r(r(old * r(f.beta2)) + r(q * r(f.rest2)))
  })
  const update = v1.map((x, i) => r(r(1 / r(Math.sqrt(x))) * (g1[i] as number)))
  const rate = r(
    adafactorRate(
      f,
      laneSum(update.length, (i) => (update[i] as number) ** 2),
      update.length
    )
  )
  return { p: Array.from(p, (x, i) => r(r(x * r(f.decay)) - r(rate * (update[i] as number)))), v: v1 }
}

type FactorValues = { readonly [K in keyof AdafactorFactors]: Value }

/** `adafactorMatrix` over Values: p and g [rows, columns], row [rows], col [columns]. */
export const adafactorMatrixGraph = (
  { p, row, col }: { readonly p: Value; readonly row: Value; readonly col: Value },
  g: Value,
  f: FactorValues,
  clip: Value
): { readonly p: Value; readonly row: Value; readonly col: Value } => {
  const g1 = mul(g, clip)
  const q = add(mul(g1, g1), f.epsilon)
  const mixed = (old: Value, mean: Value): Value => add(mul(old, f.beta2), mul(mean, f.rest2))
  const row1 = mixed(row, reduceMean(q, { axes: [1] }))
  const col1 = mixed(col, reduceMean(q, { axes: [0] }))
  const byRow = reshape(reciprocal(sqrt(div(row1, reduceMean(row1)))), [...row.shape, 1])
  const update = mul(mul(byRow, reciprocal(sqrt(col1))), g1)
  return { p: moved(p, update, f), row: row1, col: col1 }
}

/** `adafactorVector` over Values. */
export const adafactorVectorGraph = (
  { p, v }: { readonly p: Value; readonly v: Value },
  g: Value,
  f: FactorValues,
  clip: Value
): { readonly p: Value; readonly v: Value } => {
  const g1 = mul(g, clip)
  const v1 = add(mul(v, f.beta2), mul(add(mul(g1, g1), f.epsilon), f.rest2))
  return { p: moved(p, mul(reciprocal(sqrt(v1)), g1), f), v: v1 }
}

const moved = (p: Value, update: Value, f: FactorValues): Value => {
  const one = p.graph.constant(1, p.dtype, [])
  const excess = div(sqrt(reduceMean(mul(update, update))), f.clipThreshold)
  const rate = div(f.learningRate, where(greater(excess, one), excess, one))
  return sub(mul(p, f.decay), mul(rate, update))
}
