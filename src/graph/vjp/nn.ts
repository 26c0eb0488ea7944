// Gradient rules of the neural-network ops, written for few passes over their large operands.
import { add, erf, exp, mul, neg, scale, sigmoid, sub, tanh } from "../ops/elementwise.ts"
import { scatterElements } from "../ops/index.ts"
import { matMul } from "../ops/matmul.ts"
import { rotaryEmbedding } from "../ops/nn.ts"
import { reduceSum } from "../ops/reduce.ts"
import { filled, reshape } from "../ops/shape.ts"
import type { Value } from "../Value.ts"
import { once } from "./Rule.ts"
import type { Rule } from "./Rule.ts"

/** y = softmax x: dx = y (g - sum(g y)) */
export const softmaxRule: Rule<"Softmax"> = ({ outputs: [y], attributes: { axis }, g }) => [
  () => mul(y!, sub(g, reduceSum(mul(g, y!), { axes: [axis], keepdims: true })))
]

/** y = log softmax x: dx = g - e^y sum(g) */
export const logSoftmaxRule: Rule<"LogSoftmax"> = ({ outputs: [y], attributes: { axis }, g }) => [
  () => sub(g, mul(exp(y!), reduceSum(g, { axes: [axis], keepdims: true })))
]

/**
 * y = w x r with r = 1 / rms(x), over D elements a row:
 * dx = r (g w - x r^2 sum(g w x) / D), dw = sum over rows of g x r. Both sums are matrix-vector products of p = g x.
 */
export const rmsNormRule: Rule<"SimplifiedLayerNormalization"> = ({ inputs: [x, w], outputs: [, r], g }) => {
  const width = w!.shape[0]!
  const p = once(() => reshape(mul(g, x!), [-1, width]))
  return [
    () => {
      const dot = reshape(matMul(p(), reshape(w!, [width, 1]), { alpha: 1 / width }), r!.shape)
      return mul(sub(mul(g, w!), mul(x!, mul(dot, mul(r!, r!)))), r!)
    },
    () => reshape(matMul(reshape(r!, [-1, 1]), p(), { transA: true }), [width])
  ]
}

/**
 * y = w n + b with n = (x - mean) r, r = 1 / sqrt(var(x) + epsilon), over D elements a row:
 * dx = r (g w - sum(g w) / D - n sum(g w n) / D), dw = sum over rows of g n, db = sum over rows of g.
 */
export const layerNormRule: Rule<"LayerNormalization"> = ({ inputs: [x, w], outputs: [, mean, r], g }) => {
  const width = w!.shape[0]!
  const n = once(() => mul(sub(x!, mean!), r!))
  const p = once(() => mul(g, n()))
  const column = once(() => reshape(w!, [width, 1]))
  const rowMean = (a: Value): Value => reshape(matMul(reshape(a, [-1, width]), column(), { alpha: 1 / width }), r!.shape)
  const rowSum = (a: Value): Value => reduceSum(reshape(a, [-1, width]), { axes: [0] })
  return [() => mul(sub(sub(mul(g, w!), rowMean(g)), mul(n(), rowMean(p()))), r!), () => rowSum(p()), () => rowSum(g)]
}

/** A rotation by an angle: dx = g rotated back (sin negated). The tables have no gradient. */
export const rotaryEmbeddingRule: Rule<"RotaryEmbedding"> = ({ inputs: [, positions, cos, sin], g }) => [
  () => rotaryEmbedding(g, positions!, cos!, neg(sin!)),
  undefined,
  undefined,
  undefined
]

/** y = x s with s = sigmoid(x): dx = g s (1 + x - y) = g (y + s (1 - y)) */
export const siluRule: Rule<"Silu"> = ({ inputs: [x], outputs: [y], g }) => [
  () => {
    const s = sigmoid(x!)
    return mul(g, add(y!, sub(s, mul(s, y!))))
  }
]

/**
 * exact: y = x Phi(x): dx = g (Phi + x phi), Phi = (1 + erf(x / sqrt 2)) / 2, phi = e^(-x^2 / 2) / sqrt(2 pi).
 * tanh: y = x (1 + t) / 2, t = tanh(u), u = c (x + a x^3): dx = g ((1 + t) / 2 + x (1 - t^2) u' / 2), u' = c (1 + 3 a x^2).
 */
export const geluRule: Rule<"Gelu"> = ({ inputs: [x], attributes: { approximate }, g }) => [
  () => {
    const half = x!.graph.constant(0.5, x!.dtype, [])
    const square = mul(x!, x!)
    if (approximate === "none") {
      const phi = scale(exp(scale(square, -0.5)), 1 / Math.sqrt(2 * Math.PI))
      return mul(g, add(add(scale(erf(scale(x!, Math.SQRT1_2)), 0.5), half), mul(x!, phi)))
    }
    const c = Math.sqrt(2 / Math.PI)
    const one = x!.graph.constant(1, x!.dtype, [])
    const t = tanh(mul(x!, add(scale(square, c * geluCubic), x!.graph.constant(c, x!.dtype, []))))
    const slope = add(scale(square, 1.5 * c * geluCubic), x!.graph.constant(c / 2, x!.dtype, []))
    return mul(g, add(add(scale(t, 0.5), half), mul(mul(x!, slope), sub(one, mul(t, t)))))
  }
]

/** Coefficient a of the tanh form. */
export const geluCubic = 0.044715

/** p [M,V] less 1 at the target of each row, int64 [M]: the gradient of its -log softmax with respect to the logits. */
export const softmaxMinusOnehot = (p: Value, targets: Value): Value => {
  const column = reshape(targets, [-1, 1])
  return scatterElements(p, column, filled(p.graph, p.dtype, column.shape, -1), 1, "add")
}

/** nll = -log softmax(x)[t]: dx = g (softmax(x) - onehot(t)) */
export const softmaxCrossEntropyRule: Rule<"SoftmaxCrossEntropy"> = ({ inputs: [, targets], outputs: [, p], g }) => [
  () => {
    const column = reshape(g, [-1, 1])
    return scatterElements(mul(p!, column), reshape(targets!, [-1, 1]), neg(column), 1, "add")
  },
  undefined
]
