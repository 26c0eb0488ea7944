// The training loss: cross-entropy of next-token targets, weighted per position.
import { mul } from "./ops/elementwise.ts"
import { reduceSum } from "./ops/reduce.ts"
import type { Value } from "./Value.ts"

export interface Loss {
  /** Scalar: sum over positions of weight x negative log-likelihood (nats). */
  readonly sum: Value
  /** [M]: negative log-likelihood of each target, whatever its weight. */
  readonly tokenNll: Value
}

/** logits [M,V], targets int64 [M] (inside 0..V-1 also where the weight is 0), weights [M] of the logits' type. */
export const crossEntropy = (logits: Value, targets: Value, weights: Value): Loss => {
  const [tokenNll] = logits.graph.add("SoftmaxCrossEntropy", [logits, targets], {}) as [Value, Value]
  return { sum: reduceSum(mul(tokenNll, weights)), tokenNll }
}
