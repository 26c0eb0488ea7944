// Reductions over axes.
import { GraphError } from "../GraphError.ts"
import { normalAxis } from "../Type.ts"
import type { Value } from "../Value.ts"

export interface ReduceOptions {
  /** Default: all axes. */
  readonly axes?: readonly number[]
  /** Keep the reduced axes with size 1; default false. */
  readonly keepdims?: boolean
}

const reduce = (op: "ReduceSum" | "ReduceMean" | "ReduceMax", x: Value, options: ReduceOptions): Value => {
  const rank = x.shape.length
  const axes = (options.axes ?? x.shape.map((_, axis) => axis)).map((axis) => {
    const normal = normalAxis(axis, rank)
    if (normal === undefined) throw new GraphError(op, [x.shape], `axis ${axis} of rank ${rank} does not exist`)
    return normal
  })
  // ONNX reads an empty list of axes as "all".
  if (axes.length === 0) return x
  return x.graph.add(op, [x], { axes: axes.toSorted((a, b) => a - b), keepdims: options.keepdims ?? false })[0]!
}

export const reduceSum = (x: Value, options: ReduceOptions = {}): Value => reduce("ReduceSum", x, options)
export const reduceMean = (x: Value, options: ReduceOptions = {}): Value => reduce("ReduceMean", x, options)
/** No gradient: use it for what must not be differentiated, such as a maximum that is subtracted for stability. */
export const reduceMax = (x: Value, options: ReduceOptions = {}): Value => reduce("ReduceMax", x, options)
