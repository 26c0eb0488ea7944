// Tensors that are not trained, in the form in which they lie in memory: what a session is fed with for each, and the nodes that make
// its float32 value. A new form is one more function that gives a Frozen.
import { realpathSync } from "node:fs"
import { basename, dirname } from "node:path"
import { codesOf } from "#src/formats/bitsandbytes/codes.ts"
import { type QuantizedWeight, type Scales, sizeOf } from "#src/formats/bitsandbytes/quantized.ts"
import type { FileSlice, Graph } from "#src/graph/Graph.ts"
import { add, cast, mul } from "#src/graph/ops/elementwise.ts"
import { dequantize4Bit, gather } from "#src/graph/ops/index.ts"
import { reshape, slice, transpose } from "#src/graph/ops/shape.ts"
import type { DType, Shape, TypedArray } from "#src/graph/Type.ts"
import type { GraphBuilder, Value } from "#src/graph/Value.ts"
import type { Parameter, Weights } from "#src/models/Model.ts"
import type { StoredTensor } from "#src/models/weights.ts"
import type { Feeds } from "./Session.ts"

/** What a graph reads: an array that it is fed with in place, or bytes of a file that the runtime maps. */
export interface FrozenInput {
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
  readonly data: TypedArray | FileSlice
}

const isArray = (data: FrozenInput["data"]): data is TypedArray => ArrayBuffer.isView(data)

export interface Frozen {
  readonly name: string
  /** Of its float32 value. */
  readonly shape: Shape
  /** How it lies in memory, for people. */
  readonly form: string
  readonly inputs: readonly FrozenInput[]
  /** The float32 value, from the values of `inputs`. Called at each use, so that what it adds to the graph is as short-lived as the use. */
  readonly value: (inputs: readonly Value[], table: Table) => Value
  /** Bytes of the arrays. */
  readonly bytes: number
}

/** A table that many tensors share, as one constant of the graph. */
type Table = (graph: GraphBuilder, data: Float32Array, shape: Shape) => Value

/** Held as it is used. */
export const plain = (name: string, shape: Shape, data: Float32Array): Frozen => ({
  name,
  shape,
  form: "float32",
  inputs: [{ name, dtype: "float32", shape, data }],
  value: ([value]) => value!,
  bytes: data.byteLength
})

const storedTypes: Readonly<Record<string, DType>> = { F32: "float32", F16: "float16", BF16: "bfloat16" }

/** Left in its file, in the type that it has there: float32 is used as it is, a 16-bit form is widened at each use. */
export const onDisk = (name: string, shape: Shape, { path, start, end, dtype: stored }: StoredTensor): Frozen => {
  const dtype = storedTypes[stored] as DType
  const slice: FileSlice = { folder: dirname(path), file: basename(path), offset: start, bytes: end - start }
  return {
    name,
    shape,
    form: dtype,
    inputs: [{ name, dtype, shape, data: slice }],
    value: ([value]) => cast(value!, "float32"),
    bytes: slice.bytes
  }
}

const padded = (bytes: Uint8Array, length: number): Uint8Array => {
  if (bytes.length === length) return bytes
  const longer = new Uint8Array(length)
  longer.set(bytes)
  return longer
}

interface Memory<A, B> {
  readonly get: (a: A) => B | undefined
  readonly set: (a: A, b: B) => unknown
}

/** Makes each value once. */
const memoized =
  <A, B>(make: (a: A) => B, known: Memory<A, B>): ((a: A) => B) =>
  (a) => {
    const found = known.get(a) ?? make(a)
    known.set(a, found)
    return found
  }

/** What a byte with two indices stands for, [256, 2]: the first value is that of the high bits. Once per table of codes: equal tables are one constant of a graph. */
const pairTable = memoized(
  (codes: Float32Array) => Float32Array.from({ length: 512 }, (_, i) => codes[i & 1 ? (i >>> 1) & 15 : i >>> 5] as number),
  new WeakMap<Float32Array, Float32Array>()
)

const total = (inputs: readonly FrozenInput[]): number =>
  inputs.reduce((sum, { data }) => sum + (isArray(data) ? data.byteLength : data.bytes), 0)

interface ScaleInputs {
  readonly inputs: readonly FrozenInput[]
  /** [blocks] */
  readonly absmax: (inputs: readonly Value[], table: Table) => Value
}

/** The first `count` elements of a vector. */
const first = (x: Value, count: number): Value => (x.shape[0] === count ? x : slice(x, 0, 0, count))

const scalesOf = (name: string, scales: Scales, blocks: number): ScaleInputs => {
  const absmaxName = `${name}.absmax`
  if (scales.kind === "float32") {
    return { inputs: [{ name: absmaxName, dtype: "float32", shape: [blocks], data: scales.absmax }], absmax: ([absmax]) => absmax! }
  }
  const { q8, nested, codes, offset, blockSize } = scales
  const [rows, length] = [nested.length, nested.length * blockSize]
  return {
    inputs: [
      { name: absmaxName, dtype: "uint8", shape: [rows, blockSize], data: padded(q8, length) },
      { name: `${name}.nested_absmax`, dtype: "float32", shape: [rows, 1], data: nested }
    ],
    absmax: ([q, each], table) => {
      const { graph } = q!
      const units = gather(table(graph, codes, [codes.length]), cast(q!, "int32"))
      return first(reshape(add(mul(units, each!), graph.constant(offset, "float32", [])), [length]), blocks)
    }
  }
}

/**
 * Held in 4 bits: packed bytes and scales, filled up to whole blocks. Value: codes[index] * absmax of the block, exactly as
 * bitsandbytes computes it. Doubly quantised scales are worked out in the graph too, which adds a 64th to the work.
 */
export const quantized = (name: string, stored: QuantizedWeight): Frozen => {
  const { quantType, packed, blockSize, shape, scales, codes, transposed } = stored
  const count = sizeOf(shape)
  const blocks = Math.ceil(count / blockSize)
  const bytes = (blocks * blockSize) / 2
  const { inputs: scaleInputs, absmax } = scalesOf(name, scales, blocks)
  const held: FrozenInput = { name: `${name}.packed`, dtype: "uint8", shape: [bytes], data: padded(packed, bytes) }
  const inputs = [held, ...scaleInputs]
  return {
    name,
    shape: transposed ? shape.toReversed() : shape,
    form: `${quantType}${scales.kind === "double" ? " with double quantisation" : ""}`,
    inputs,
    value: (values, table) => {
      const [bytes, ...scale] = values as [Value, ...Value[]]
      const pairs = table(bytes.graph, pairTable(codes), [256, 2])
      const kernel = codes === codesOf[quantType] ? { quantType } : {}
      const value = dequantize4Bit(bytes, absmax(scale, table), pairs, { shape, blockSize, ...kernel })
      return transposed ? transpose(value) : value
    },
    bytes: total(inputs)
  }
}

/** Small tensors, such as an adapter's: read as they are used. */
export const inMemory = (parameters: readonly Pick<Parameter, "name" | "shape">[], weights: Weights): readonly Frozen[] =>
  parameters.map(({ name, shape }) => plain(name, shape, weights.read(name)))

export interface FreezeOptions {
  /** Leave tensors in their files. Default true. */
  readonly mapped?: boolean
  /** Leave 16-bit tensors in their files too: half the memory, but widened again at each use. Default true. */
  readonly halves?: boolean
}

/**
 * Tensors in the form that their weights have. Those of files stay there, so that loading copies nothing; the runtime wants all
 * files of a session in one folder and no link that leads out of it, so what lies elsewhere is read.
 */
export const freeze = (
  parameters: readonly Pick<Parameter, "name" | "shape">[],
  weights: Weights,
  { mapped = true, halves = true }: FreezeOptions = {}
): readonly Frozen[] => {
  const real = memoized((path: string) => realpathSync(path), new Map<string, string>())
  let folder: string | undefined
  return parameters.map(({ name, shape }) => {
    const fourBit = weights.quantized?.(name)
    if (fourBit !== undefined) return quantized(name, fourBit)
    const tensor = weights.stored?.(name)
    if (tensor === undefined || !mapped || !(halves || tensor.dtype === "F32")) return plain(name, shape, weights.read(name))
    const path = real(tensor.path)
    folder ??= dirname(path)
    return dirname(path) === folder ? onDisk(name, shape, { ...tensor, path }) : plain(name, shape, weights.read(name))
  })
}

export interface FrozenValues {
  /** The value of one, made anew at each call; undefined: no such tensor. */
  readonly value: (name: string) => Value | undefined
  /** What the values are made of. */
  readonly stored: readonly Value[]
}

/** Adds frozen tensors to a graph. */
export const frozenValues = (graph: Graph, frozen: readonly Frozen[]): FrozenValues => {
  const tables = new Map<Float32Array, Value>()
  const table: Table = (builder, data, shape) => {
    const known = tables.get(data) ?? builder.constant(data, "float32", shape)
    tables.set(data, known)
    return known
  }
  const stored: Value[] = []
  const add = ({ name, dtype, shape, data }: FrozenInput): Value => {
    const value = isArray(data) ? graph.input(name, dtype, shape) : graph.external(name, dtype, shape, data)
    stored.push(value)
    return value
  }
  const makers = new Map(
    frozen.map(({ name, inputs, value }) => {
      const values = inputs.map(add)
      return [name, () => value(values, table)] as const
    })
  )
  return { value: (name) => makers.get(name)?.(), stored }
}

/** What a session is fed with for them. */
export const frozenFeeds = (frozen: readonly Frozen[]): Feeds =>
  Object.fromEntries(frozen.flatMap(({ inputs }) => inputs.flatMap(({ name, data }) => (isArray(data) ? [[name, data] as const] : []))))
