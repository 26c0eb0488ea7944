// AdamW as reference arithmetic and as a graph. The SIMD kernel (runtime/kernels) computes the same formula in float32.
import { add, div, mul, sqrt, sub } from "../ops/elementwise.ts"
import type { Value } from "../Value.ts"
import { exact } from "./round.ts"

export interface AdamWOptions {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
}

/** What one step multiplies with: the same for all elements of a parameter. */
export interface AdamWFactors {
  /** 1 - learningRate * weightDecay */
  readonly decay: number
  readonly beta1: number
  readonly rest1: number
  readonly beta2: number
  readonly rest2: number
  /** learningRate / (1 - beta1^t) */
  readonly stepSize: number
  /** sqrt(1 - beta2^t) */
  readonly rootBias: number
  readonly epsilon: number
}

/** Factors of optimizer step `t`, counted from 1. */
export const adamwFactors = (o: AdamWOptions, t: number): AdamWFactors => ({
  decay: 1 - o.learningRate * o.weightDecay,
  beta1: o.beta1,
  rest1: 1 - o.beta1,
  beta2: o.beta2,
  rest2: 1 - o.beta2,
  stepSize: o.learningRate / (1 - o.beta1 ** t),
  rootBias: Math.sqrt(1 - o.beta2 ** t),
  epsilon: o.epsilon
})

export interface Moments<N = number> {
  readonly p: N
  readonly m: N
  readonly v: N
}

/**
 * Loshchilov and Hutter 2019, as torch.optim.AdamW:
 * p <- p (1 - lr wd);  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  p <- p - lr/(1 - b1^t) m / (sqrt(v)/sqrt(1 - b2^t) + eps)
 * `clip` scales g first. Every operation is rounded by `round`.
 */
export const adamw = ({ p, m, v }: Moments, g: number, f: AdamWFactors, clip = 1, round = exact): Moments => {
  const r = round
  const g1 = r(r(g) * r(clip))
  const m1 = r(r(m * r(f.beta1)) + r(g1 * r(f.rest1)))
  const v1 = r(r(v * r(f.beta2)) + r(r(g1 * g1) * r(f.rest2)))
  const denominator = r(r(r(Math.sqrt(v1)) / r(f.rootBias)) + r(f.epsilon))
  return { p: r(r(p * r(f.decay)) - r(r(f.stepSize) * r(m1 / denominator))), m: m1, v: v1 }
}

/** The same over tensors of one shape; factors and `clip` are scalars that every step feeds anew. */
export const adamwGraph = (
  { p, m, v }: Moments<Value>,
  g: Value,
  f: { readonly [K in keyof AdamWFactors]: Value },
  clip: Value
): Moments<Value> => {
  const g1 = mul(g, clip)
  const m1 = add(mul(m, f.beta1), mul(g1, f.rest1))
  const v1 = add(mul(v, f.beta2), mul(mul(g1, g1), f.rest2))
  const denominator = add(div(sqrt(v1), f.rootBias), f.epsilon)
  return { p: sub(mul(p, f.decay), mul(f.stepSize, div(m1, denominator))), m: m1, v: v1 }
}
