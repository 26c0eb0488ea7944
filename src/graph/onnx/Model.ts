// An ONNX model as plain data: what encode writes and decode reads, a subset of onnx.proto (static tensors, no subgraphs).
import type { DType, Shape } from "../Type.ts"

export type OnnxAttribute =
  | { readonly kind: "int"; readonly value: number }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "ints"; readonly value: readonly number[] }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "tensor"; readonly value: OnnxTensor }

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

export interface OnnxModel {
  readonly irVersion: number
  readonly opsets: Readonly<Record<string, number>>
  readonly nodes: readonly OnnxNode[]
  readonly initializers: readonly OnnxTensor[]
  readonly inputs: readonly OnnxValue[]
  readonly outputs: readonly OnnxValue[]
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
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16
} as const satisfies Record<DType, number>
