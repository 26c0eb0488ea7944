// Shape rules of ops that rearrange elements or reduce axes.
import { broadcast, sameShape, sizeOf } from "../Type.ts"
import type { Type } from "../Type.ts"
import { expectAxis, expectCount, expectSameDType, fail } from "./check.ts"
import type { Infer } from "./check.ts"

export const reshape: Infer<"Reshape"> = (op, inputs, { shape }) => {
  expectCount(op, inputs, 1)
  const { dtype, shape: from } = inputs[0]!
  if (sizeOf(from) !== sizeOf(shape)) fail(op, inputs, `${sizeOf(from)} elements do not fit [${shape.join(",")}]`)
  return [{ dtype, shape }]
}

export const expand: Infer<"Expand"> = (op, inputs, { shape }) => {
  expectCount(op, inputs, 1)
  const { dtype, shape: from } = inputs[0]!
  const to = broadcast(from, shape)
  if (to === undefined || !sameShape(to, shape)) fail(op, inputs, `does not expand to [${shape.join(",")}]`)
  return [{ dtype, shape }]
}

export const transpose: Infer<"Transpose"> = (op, inputs, { perm }) => {
  expectCount(op, inputs, 1)
  const { dtype, shape } = inputs[0]!
  const complete = perm.length === shape.length && shape.every((_, axis) => perm.includes(axis))
  if (!complete) fail(op, inputs, `[${perm.join(",")}] is no permutation of the axes`)
  return [{ dtype, shape: perm.map((axis) => shape[axis]!) }]
}

export const concat: Infer<"Concat"> = (op, inputs, attributes) => {
  if (inputs.length === 0) fail(op, inputs, "nothing to concatenate")
  expectSameDType(op, inputs)
  const { dtype, shape } = inputs[0]!
  const axis = expectAxis(op, inputs, attributes.axis, shape.length)
  const fits = inputs.every((input) => input.shape.length === shape.length && input.shape.every((dim, i) => i === axis || dim === shape[i]))
  if (!fits) fail(op, inputs, "shape mismatch", `all dimensions but axis ${axis} must be equal`)
  const total = inputs.reduce((sum, input) => sum + input.shape[axis]!, 0)
  return [{ dtype, shape: shape.with(axis, total) }]
}

export const split: Infer<"Split"> = (op, inputs, attributes) => {
  expectCount(op, inputs, 1)
  const { dtype, shape } = inputs[0]!
  const axis = expectAxis(op, inputs, attributes.axis, shape.length)
  const total = attributes.sizes.reduce((sum, size) => sum + size, 0)
  if (total !== shape[axis]) fail(op, inputs, `sizes [${attributes.sizes.join(",")}] do not add up to ${shape[axis]}`)
  return attributes.sizes.map((size): Type => ({ dtype, shape: shape.with(axis, size) }))
}

export const slice: Infer<"Slice"> = (op, inputs, { axis: given, start, end }) => {
  expectCount(op, inputs, 1)
  const { dtype, shape } = inputs[0]!
  const axis = expectAxis(op, inputs, given, shape.length)
  if (!(start >= 0 && start <= end && end <= shape[axis]!)) fail(op, inputs, `${start}..${end} is not inside axis ${axis}`)
  return [{ dtype, shape: shape.with(axis, end - start) }]
}

export const constantOfShape: Infer<"ConstantOfShape"> = (op, inputs, { shape, dtype }) => {
  expectCount(op, inputs, 0)
  return [{ dtype, shape }]
}

export const reduce: Infer<"ReduceSum" | "ReduceMean" | "ReduceMax"> = (op, inputs, { axes, keepdims }) => {
  expectCount(op, inputs, 1)
  const { dtype, shape } = inputs[0]!
  for (const axis of axes) expectAxis(op, inputs, axis, shape.length)
  const kept = shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
  return [{ dtype, shape: keepdims ? kept : kept.filter((_, axis) => !axes.includes(axis)) }]
}
