// Checks that several shape rules share; each throws GraphError with the shapes of all inputs.
import { GraphError } from "../GraphError.ts"
import type { OpName, OpTable } from "../op.ts"
import { isFloat, normalAxis } from "../Type.ts"
import type { DType, Type } from "../Type.ts"

/** Output types of an op from its input types; throws GraphError. */
export type Infer<K extends OpName> = (op: K, inputs: readonly Type[], attributes: OpTable[K]) => readonly Type[]

export const fail = (op: string, inputs: readonly Type[], problem: string, hint?: string): never => {
  throw new GraphError(
    op,
    inputs.map((input) => input.shape),
    problem,
    hint
  )
}

export const expectCount = (op: string, inputs: readonly Type[], count: number): void => {
  if (inputs.length !== count) fail(op, inputs, `${inputs.length} inputs instead of ${count}`)
}

export const expectFloat = (op: string, inputs: readonly Type[], which: readonly Type[] = inputs): void => {
  const wrong = which.find((type) => !isFloat(type.dtype))
  if (wrong !== undefined) fail(op, inputs, `${wrong.dtype} instead of a float type`, "cast it first")
}

export const expectDType = (op: string, inputs: readonly Type[], which: Type, dtype: DType): void => {
  if (which.dtype !== dtype) fail(op, inputs, `${which.dtype} instead of ${dtype}`, `cast(x, "${dtype}")`)
}

export const expectSameDType = (op: string, inputs: readonly Type[], which: readonly Type[] = inputs): void => {
  const dtypes = new Set(which.map((type) => type.dtype))
  if (dtypes.size > 1) fail(op, inputs, `mixed types ${[...dtypes].join(" and ")}`, "cast one of them first")
}

/** The axis counted from the front. */
export const expectAxis = (op: string, inputs: readonly Type[], axis: number, rank: number): number =>
  normalAxis(axis, rank) ?? fail(op, inputs, `axis ${axis} of rank ${rank} does not exist`)
