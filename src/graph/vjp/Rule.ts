// What a gradient rule is: for each input of a node, how the gradient g of its output flows back to it.
import type { OpName, OpTable } from "../op.ts"
import { reduceSum } from "../ops/reduce.ts"
import { reshape } from "../ops/shape.ts"
import type { Shape } from "../Type.ts"
import type { Value } from "../Value.ts"

export interface Backward<K extends OpName> {
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
  readonly attributes: OpTable[K]
  /** Gradient of the first output. */
  readonly g: Value
  /** Gradients of all outputs; undefined where none arrived (only Split has several outputs with gradients). */
  readonly gradients: readonly (Value | undefined)[]
}

/**
 * Gradient of one input: computed on demand, or added onto what is there already (a scatter needs no zeros of its own then);
 * `compute` is for where nothing is there yet, else `onto` begins with zeros.
 */
export type Contribution = (() => Value) | { readonly onto: (base: Value) => Value; readonly compute?: () => Value }

/** One entry an input; undefined where the op has no gradient for it (indices, tables). */
export type Rule<K extends OpName> = (node: Backward<K>) => readonly (Contribution | undefined)[]

/** Sums a gradient over the axes along which its value of `shape` was broadcast. */
export const unbroadcast = (g: Value, shape: Shape): Value => {
  const extra = g.shape.length - shape.length
  const axes = g.shape.map((_, axis) => axis).filter((axis) => axis < extra || (shape[axis - extra] === 1 && g.shape[axis] !== 1))
  return reshape(reduceSum(g, { axes, keepdims: true }), shape)
}

/** Computes on the first call only: work that the gradients of two inputs share. */
export const once = <A>(compute: () => A): (() => A) => {
  let done: { readonly value: A } | undefined
  return () => (done ??= { value: compute() }).value
}
