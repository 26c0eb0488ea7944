// Ops that rearrange elements. Those that would change nothing return their input.
import { GraphError } from "../GraphError.ts"
import { normalAxis, sameShape, sizeOf } from "../Type.ts"
import type { DType, Shape } from "../Type.ts"
import type { GraphBuilder, Value } from "../Value.ts"

/** One dimension may be -1: whatever is left. */
export const reshape = (x: Value, shape: Shape): Value => {
  const known = sizeOf(shape.filter((dim) => dim !== -1))
  const full = shape.map((dim) => (dim === -1 ? sizeOf(x.shape) / known : dim))
  return sameShape(full, x.shape) ? x : x.graph.add("Reshape", [x], { shape: full })[0]!
}

/** Default: reverses the axes. */
export const transpose = (x: Value, perm: readonly number[] = x.shape.map((_, i) => x.shape.length - 1 - i)): Value =>
  perm.length === x.shape.length && perm.every((axis, i) => axis === i) ? x : x.graph.add("Transpose", [x], { perm })[0]!

export const expand = (x: Value, shape: Shape): Value => (sameShape(x.shape, shape) ? x : x.graph.add("Expand", [x], { shape })[0]!)

export const concat = (values: readonly Value[], axis: number): Value => {
  const [first] = values
  if (first === undefined) throw new GraphError("Concat", [], "nothing to concatenate")
  return values.length === 1 ? first : first.graph.add("Concat", values, { axis: normalAxis(axis, first.shape.length) ?? axis })[0]!
}

/** Parts of the given sizes along an axis. */
export const split = (x: Value, sizes: readonly number[], axis: number): readonly Value[] => {
  const at = normalAxis(axis, x.shape.length) ?? axis
  return sizes.length === 1 && sizes[0] === x.shape[at] ? [x] : x.graph.add("Split", [x], { sizes, axis: at })
}

/** Elements `start` up to but without `end` along one axis. */
export const slice = (x: Value, axis: number, start: number, end: number): Value => {
  const at = normalAxis(axis, x.shape.length) ?? axis
  return start === 0 && end === x.shape[at] ? x : x.graph.add("Slice", [x], { axis: at, start, end })[0]!
}

/** A tensor of one value, made in every run (it takes no room in the model). */
export const filled = (graph: GraphBuilder, dtype: DType, shape: Shape, value = 0): Value =>
  graph.add("ConstantOfShape", [], { shape, value, dtype })[0]!
