// An ONNX model as plain data: what encode writes and decode reads, a subset of onnx.proto (static tensors).
import type { DType, Shape } from "../Type.ts"

export type OnnxAttribute =
  | { readonly kind: "int"; readonly value: number }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "ints"; readonly value: readonly number[] }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "tensor"; readonly value: OnnxTensor }
  /** The body of a Loop; it may read values of the graphs around it by name. */
  | { readonly kind: "graph"; readonly value: OnnxGraph }

export interface OnnxNode {
  readonly name: string
  readonly opType: string
  /** "" is ONNX's own. */
  readonly domain: Domain
  readonly inputs: readonly string[]
  /** "" for an optional output that nobody reads. */
  readonly outputs: readonly string[]
  readonly attributes: Readonly<Record<string, OnnxAttribute>>
}

export interface OnnxTensor {
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
  /** Little-endian elements in row-major order; empty where they stay in a file. */
  readonly bytes: Uint8Array
  /** Where they are in a file, whose name is relative to the session's folder. */
  readonly external?: { readonly location: string; readonly offset: number; readonly length: number }
}

export interface OnnxValue {
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[]
  readonly initializers: readonly OnnxTensor[]
  readonly inputs: readonly OnnxValue[]
  readonly outputs: readonly OnnxValue[]
}

export interface OnnxModel extends OnnxGraph {
  readonly irVersion: number
  readonly opsets: Readonly<Record<string, number>>
}

/** Names that a node reads: its inputs, and what the graphs among its attributes take from around them. */
export const readsOf = (node: OnnxNode): readonly string[] => {
  const bodies = Object.values(node.attributes).flatMap((attribute) => (attribute.kind === "graph" ? [attribute.value] : []))
  if (bodies.length === 0) return node.inputs
  return [...new Set([...node.inputs.filter((name) => name !== ""), ...bodies.flatMap(freeNames)])]
}

const freeNames = ({ nodes, initializers, inputs, outputs }: OnnxGraph): readonly string[] => {
  const own = new Set([...inputs, ...initializers].map(({ name }) => name).concat(nodes.flatMap((node) => node.outputs)))
  return [...nodes.flatMap(readsOf), ...outputs.map(({ name }) => name)].filter((name) => !own.has(name))
}

/** Opset 18 is the one in which every op needed has an exact kernel on every device; com.microsoft holds ONNX Runtime's own ops. */
export const opsets = { "": 18, "com.microsoft": 1 } as const
export type Domain = keyof typeof opsets

/** The format version that goes with opset 18. */
export const irVersion = 8

/** TensorProto.DataType numbers. */
export const dataTypes = {
  float32: 1,
  uint8: 2,
  uint16: 4,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16
} as const satisfies Record<DType, number>
