// Element types and shapes of graph values. Shapes are static: every dimension is a known count.

/** Element types of ONNX that anneal's graphs use. */
export type DType = "float32" | "float64" | "float16" | "bfloat16" | "int64" | "int32" | "uint16" | "uint8" | "bool"

/** Dimensions, outermost first; [] is a scalar. */
export type Shape = readonly number[]

export interface Type {
  readonly dtype: DType
  readonly shape: Shape
}

/** What holds the elements of a tensor on the host; float16 and bfloat16 are raw 16-bit patterns, bool one byte an element. */
export type TypedArray = Float32Array | Float64Array | Uint16Array | BigInt64Array | Int32Array | Uint8Array

/** The typed array class that holds a dtype. */
export const arrayClass = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  bool: Uint8Array
} as const satisfies Record<DType, unknown>

/** Number of elements of a shape; 1 for a scalar. */
export const sizeOf = (shape: Shape): number => shape.reduce((product, dim) => product * dim, 1)

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((dim, i) => dim === b[i])

export const isFloat = (dtype: DType): boolean => dtype.includes("float")

export const is16Bit = (dtype: DType): boolean => dtype === "float16" || dtype === "bfloat16"

/** Shape that two shapes broadcast to (numpy's rules), or undefined. */
export const broadcast = (a: Shape, b: Shape): Shape | undefined => {
  const rank = Math.max(a.length, b.length)
  const out: number[] = []
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1
    const y = b[b.length - rank + i] ?? 1
    if (x !== y && x !== 1 && y !== 1) return undefined
    out.push(x === 1 ? y : x)
  }
  return out
}

/** Axis counted from the end becomes one counted from the front; undefined when out of range. */
export const normalAxis = (axis: number, rank: number): number | undefined =>
  Number.isInteger(axis) && axis >= -rank && axis < rank ? (axis + rank) % rank : undefined

/** `[4,128,64]`, as errors and the text print show it. */
export const showShape = (shape: Shape): string => `[${shape.join(",")}]`
