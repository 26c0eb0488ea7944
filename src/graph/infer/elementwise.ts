// Shape rules of ops that work element by element, with numpy's broadcasting.
import type { OpName } from "../op.ts"
import { broadcast } from "../Type.ts"
import type { Type } from "../Type.ts"
import { expectCount, expectDType, expectFloat, expectSameDType, fail } from "./check.ts"
import type { Infer } from "./check.ts"

const broadcastAll = (op: string, inputs: readonly Type[]) =>
  inputs
    .map((input) => input.shape)
    .reduce((a, b) => broadcast(a, b) ?? fail(op, inputs, "shape mismatch", "dimensions must be equal or 1, counted from the end"))

export const unary: Infer<OpName> = (op, inputs) => {
  expectCount(op, inputs, 1)
  expectFloat(op, inputs)
  return inputs
}

/** The kernel of the tanh form takes no scalar. */
export const gelu: Infer<"Gelu"> = (op, inputs, attributes) => {
  if (inputs[0]?.shape.length === 0) fail(op, inputs, "a scalar", "reshape it to [1]")
  return unary(op, inputs, attributes)
}

export const identity: Infer<"Identity" | "StopGradient"> = (op, inputs) => {
  expectCount(op, inputs, 1)
  return inputs
}

/** Broadcasting reads one element of the second input, so it needs one; a scalar x has no place to put it beside. */
export const after: Infer<"After"> = (op, inputs) => {
  expectCount(op, inputs, 2)
  expectFloat(op, inputs)
  expectSameDType(op, inputs)
  if (inputs[0]!.shape.length === 0) fail(op, inputs, "a scalar", "reshape it to [1]")
  return [inputs[0]!]
}

export const binary: Infer<OpName> = (op, inputs) => {
  expectCount(op, inputs, 2)
  expectSameDType(op, inputs)
  return [{ dtype: inputs[0]!.dtype, shape: broadcastAll(op, inputs) }]
}

export const compare: Infer<OpName> = (op, inputs, attributes) => [{ dtype: "bool", shape: binary(op, inputs, attributes)[0]!.shape }]

export const where: Infer<"Where"> = (op, inputs) => {
  expectCount(op, inputs, 3)
  const [condition, a, b] = inputs as [Type, Type, Type]
  expectDType(op, inputs, condition, "bool")
  expectSameDType(op, inputs, [a, b])
  return [{ dtype: a.dtype, shape: broadcastAll(op, inputs) }]
}

export const cast: Infer<"Cast"> = (op, inputs, { to }) => {
  expectCount(op, inputs, 1)
  return [{ dtype: to, shape: inputs[0]!.shape }]
}
