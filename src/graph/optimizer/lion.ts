// Lion as reference arithmetic and as a graph. The SIMD kernel (runtime/kernels) computes the same formula in float32.
import { add, greater, less, mul, sub, where } from "../ops/elementwise.ts"
import type { Value } from "../Value.ts"
import { exact } from "./round.ts"

export interface LionOptions {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly weightDecay: number
}

export interface LionFactors {
  /** 1 - learningRate * weightDecay */
  readonly decay: number
  readonly beta1: number
  readonly rest1: number
  readonly beta2: number
  readonly rest2: number
  readonly learningRate: number
}

export const lionFactors = ({ learningRate, beta1, beta2, weightDecay }: LionOptions): LionFactors => ({
  decay: 1 - learningRate * weightDecay,
  beta1,
  rest1: 1 - beta1,
  beta2,
  rest2: 1 - beta2,
  learningRate
})

export interface Momentum<N = number> {
  readonly p: N
  readonly m: N
}

/**
 * Chen et al. 2023, with decoupled decay: p <- p (1 - lr wd) - lr sign(b1 m + (1 - b1) g);  m <- b2 m + (1 - b2) g
 * sign(0) = 0. `clip` scales g first. Every operation is rounded by `round`.
 */
export const lion = ({ p, m }: Momentum, g: number, f: LionFactors, clip = 1, round = exact): Momentum => {
  const r = round
  const g1 = r(r(g) * r(clip))
  const direction = Math.sign(r(r(m * r(f.beta1)) + r(g1 * r(f.rest1))))
  return {
    p: r(r(p * r(f.decay)) - r(r(f.learningRate) * direction)),
    m: r(r(m * r(f.beta2)) + r(g1 * r(f.rest2)))
  }
}

/** The same over tensors of one shape; factors and `clip` are scalars that every step feeds anew. */
export const lionGraph = (
  { p, m }: Momentum<Value>,
  g: Value,
  f: { readonly [K in keyof LionFactors]: Value },
  clip: Value
): Momentum<Value> => {
  const number = (x: number): Value => p.graph.constant(x, p.dtype, [])
  const g1 = mul(g, clip)
  const mixed = add(mul(m, f.beta1), mul(g1, f.rest1))
  const direction = where(greater(mixed, number(0)), number(1), where(less(mixed, number(0)), number(-1), number(0)))
  return {
    p: sub(mul(p, f.decay), mul(f.learningRate, direction)),
    m: add(mul(m, f.beta2), mul(g1, f.rest2))
  }
}
