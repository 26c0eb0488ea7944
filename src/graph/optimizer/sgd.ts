// Stochastic gradient descent as reference arithmetic and as a graph. The SIMD kernels compute the same formula in float32.
import { add, mul, sub } from "../ops/elementwise.ts"
import type { Value } from "../Value.ts"
import type { Momentum } from "./lion.ts"
import { exact } from "./round.ts"

export interface SgdFactors {
  readonly learningRate: number
  /** Added to the gradient times the weight (an L2 penalty), as torch does; not decoupled. */
  readonly weightDecay: number
  readonly momentum: number
}

/**
 * torch.optim.SGD with dampening 0, without Nesterov: d = g + wd p;  m <- momentum m + d;  p <- p - lr m
 * With momentum 0, m is d and need not be kept. `clip` scales g first. Every operation is rounded by `round`.
 */
export const sgd = ({ p, m }: Momentum, g: number, f: SgdFactors, clip = 1, round = exact): Momentum => {
  const r = round
  const d = r(r(r(g) * r(clip)) + r(p * r(f.weightDecay)))
  const m1 = f.momentum === 0 ? d : r(r(m * r(f.momentum)) + d)
  return { p: r(p - r(r(f.learningRate) * m1)), m: m1 }
}

/** The same over tensors of one shape; without `m` there is no momentum. Factors and `clip` are scalars that every step feeds anew. */
export const sgdGraph = (
  { p, m }: { readonly p: Value; readonly m?: Value },
  g: Value,
  f: { readonly [K in keyof SgdFactors]: Value },
  clip: Value
): Momentum<Value> => {
  const d = add(mul(g, clip), mul(p, f.weightDecay))
  const m1 = m === undefined ? d : add(mul(m, f.momentum), d)
  return { p: sub(p, mul(f.learningRate, m1)), m: m1 }
}
