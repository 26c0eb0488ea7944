// Gradient rules of ops that rearrange elements: the inverse rearrangement of g.
import { concat, filled, reshape, slice, transpose } from "../ops/shape.ts"
import { unbroadcast } from "./Rule.ts"
import type { Rule } from "./Rule.ts"

/** dx = g in x's shape */
export const reshapeRule: Rule<"Reshape"> = ({ inputs: [x], g }) => [() => reshape(g, x!.shape)]
/** dx = sum of g over the repeated axes */
export const expandRule: Rule<"Expand"> = ({ inputs: [x], g }) => [() => unbroadcast(g, x!.shape)]
/** dx = g with the inverse permutation */
export const transposeRule: Rule<"Transpose"> = ({ attributes: { perm }, g }) => [
  () =>
    transpose(
      g,
      perm.map((_, axis) => perm.indexOf(axis))
    )
]

/** dx_i = the part of g that came from x_i */
export const concatRule: Rule<"Concat"> = ({ inputs, attributes: { axis }, g }) => {
  let end = 0
  return inputs.map((input) => {
    const start = end
    end += input.shape[axis]!
    return () => slice(g, axis, start, start + input.shape[axis]!)
  })
}

/** dx = the gradients of the parts, joined; zeros for a part that was not used */
export const splitRule: Rule<"Split"> = ({ inputs: [x], outputs, attributes: { axis }, gradients }) => [
  () =>
    concat(
      outputs.map((part, i) => gradients[i] ?? filled(x!.graph, part.dtype, part.shape)),
      axis
    )
]

/** dx = g between zeros */
export const sliceRule: Rule<"Slice"> = ({ inputs: [x], attributes: { axis, start, end }, g }) => {
  const zeros = (size: number) => (size === 0 ? [] : [filled(g.graph, g.dtype, g.shape.with(axis, size))])
  return [() => concat([...zeros(start), g, ...zeros(x!.shape[axis]! - end)], axis)]
}
