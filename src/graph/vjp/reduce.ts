// Gradient rules of reductions.
import { cast, div, equal, mul, scale } from "../ops/elementwise.ts"
import { reduceSum } from "../ops/reduce.ts"
import { expand, reshape } from "../ops/shape.ts"
import type { Shape } from "../Type.ts"
import type { Rule } from "./Rule.ts"

/** The shape with reduced axes of size 1. */
const kept = (shape: Shape, axes: readonly number[]): Shape => shape.map((dim, i) => (axes.includes(i) ? 1 : dim))

/** y = sum of x over axes: dx = g, repeated */
export const reduceSumRule: Rule<"ReduceSum"> = ({ inputs: [x], attributes: { axes }, g }) => [
  () => expand(reshape(g, kept(x!.shape, axes)), x!.shape)
]
/** y = mean of x over axes of n elements: dx = g / n, repeated */
export const reduceMeanRule: Rule<"ReduceMean"> = ({ inputs: [x], attributes: { axes }, g }) => {
  const count = axes.reduce((product, axis) => product * x!.shape[axis]!, 1)
  return [() => expand(scale(reshape(g, kept(x!.shape, axes)), 1 / count), x!.shape)]
}
/** y = max of x over axes, reached n times: dx = g / n where x = y, else 0 */
export const reduceMaxRule: Rule<"ReduceMax"> = ({ inputs: [x], outputs: [y], attributes: { axes }, g }) => [
  () => {
    const shape = kept(x!.shape, axes)
    const reached = cast(equal(x!, reshape(y!, shape)), g.dtype)
    return mul(reached, div(reshape(g, shape), reduceSum(reached, { axes, keepdims: true })))
  }
]
