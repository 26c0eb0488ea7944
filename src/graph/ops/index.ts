// Reading and adding by index. Indices are int64 (gather also takes int32); an index out of range fails the run.
import type { OpTable } from "../op.ts"
import { normalAxis } from "../Type.ts"
import type { Value } from "../Value.ts"

export interface GatherOptions {
  /** Default 0. */
  readonly axis?: number
  /** Row of data whose gradient is zero, as in torch's Embedding; the forward value is read as it is. */
  readonly paddingIdx?: number
}

/** data [a.., n, b..] at indices I along axis -> [a.., I.., b..]. */
export const gather = (data: Value, indices: Value, { axis = 0, paddingIdx }: GatherOptions = {}): Value =>
  data.graph.add("Gather", [data, indices], {
    axis: normalAxis(axis, data.shape.length) ?? axis,
    ...(paddingIdx === undefined ? {} : { paddingIdx })
  })[0]!

/** out[i][j] = data[i][indices[i][j]] for axis 1; the shape of the result is that of indices. */
export const gatherElements = (data: Value, indices: Value, axis: number): Value =>
  data.graph.add("GatherElements", [data, indices], { axis: normalAxis(axis, data.shape.length) ?? axis })[0]!

/** The values of bitsandbytes' 4-bit form: table[packed] * absmax of the block, flat and row-major, as `shape`. No gradient. */
export const dequantize4Bit = (packed: Value, absmax: Value, table: Value, attributes: OpTable["Dequantize4Bit"]): Value =>
  packed.graph.add("Dequantize4Bit", [packed, absmax, table], attributes)[0]!

/** data with updates put ("none") or added ("add", repeated indices add up) at indices. */
export const scatterElements = (data: Value, indices: Value, updates: Value, axis: number, reduction: "none" | "add" = "none"): Value =>
  data.graph.add("ScatterElements", [data, indices, updates], { axis: normalAxis(axis, data.shape.length) ?? axis, reduction })[0]!
