// The training loss: cross-entropy of next-token targets, weighted per position.
import { add, mul, scale, sub } from "./ops/elementwise.ts"
import { gatherElements } from "./ops/index.ts"
import { reduceMean, reduceSum } from "./ops/reduce.ts"
import { reshape } from "./ops/shape.ts"
import type { Value } from "./Value.ts"

export interface Loss {
  /** Scalar: sum over positions of weight x negative log-likelihood (nats), or the smoothed loss instead of it. */
  readonly sum: Value
  /** [M]: negative log-likelihood of each target, whatever its weight. */
  readonly tokenNll: Value
  /** [M,V]: softmax of the logits. */
  readonly probabilities: Value
}

/**
 * logits [M,V], targets int64 [M] (inside 0..V-1 also where the weight is 0), weights [M] of the logits' type. `smoothing` e: a share
 * e of each target is spread evenly over the vocabulary (transformers' LabelSmoother):
 * (1 - e) nll + e mean over v of -log p_v = nll + e (x_target - mean x), because -log p_v = logsumexp x - x_v.
 */
export const crossEntropy = (logits: Value, targets: Value, weights: Value, smoothing = 0): Loss => {
  const [tokenNll, probabilities] = logits.graph.add("SoftmaxCrossEntropy", [logits, targets], {}) as [Value, Value]
  const loss = smoothing === 0 ? tokenNll : add(tokenNll, scale(aboveMean(logits, targets), smoothing))
  return { sum: reduceSum(mul(loss, weights)), tokenNll, probabilities }
}

/** [M]: x_target - mean x. */
const aboveMean = (logits: Value, targets: Value): Value => {
  const chosen = gatherElements(logits, reshape(targets, [-1, 1]), 1)
  return reshape(sub(chosen, reduceMean(logits, { axes: [1], keepdims: true })), [-1])
}
