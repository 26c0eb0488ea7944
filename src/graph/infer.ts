// The total table of shape rules: what an op makes of its inputs' types, or a GraphError.
import type { Infer } from "./infer/check.ts"
import { after, binary, cast, compare, gelu, identity, unary, where } from "./infer/elementwise.ts"
import { concat, constantOfShape, expand, reduce, reshape, slice, split, transpose } from "./infer/shape.ts"
import {
  dequantize4Bit,
  gather,
  gatherElements,
  layerNorm,
  matMul,
  matMulAdd,
  rmsNorm,
  rotaryEmbedding,
  scatterElements,
  softmax,
  softmaxCrossEntropy
} from "./infer/tensor.ts"
import type { OpName, OpTable } from "./op.ts"
import type { Type } from "./Type.ts"

const table: { readonly [K in OpName]: Infer<K> } = {
  Add: binary,
  Sub: binary,
  Mul: binary,
  Div: binary,
  Neg: unary,
  Exp: unary,
  Log: unary,
  Sqrt: unary,
  Reciprocal: unary,
  Sigmoid: unary,
  Tanh: unary,
  Erf: unary,
  Where: where,
  Equal: compare,
  Less: compare,
  Greater: compare,
  Cast: cast,
  Identity: identity,
  After: after,
  MatMulAdd: matMulAdd,
  StopGradient: identity,
  MatMul: matMul,
  Reshape: reshape,
  Expand: expand,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  ConstantOfShape: constantOfShape,
  ReduceSum: reduce,
  ReduceMean: reduce,
  ReduceMax: reduce,
  Gather: gather,
  GatherElements: gatherElements,
  ScatterElements: scatterElements,
  Softmax: softmax,
  LogSoftmax: softmax,
  Dequantize4Bit: dequantize4Bit,
  SimplifiedLayerNormalization: rmsNorm,
  LayerNormalization: layerNorm,
  RotaryEmbedding: rotaryEmbedding,
  Silu: unary,
  Gelu: gelu,
  SoftmaxCrossEntropy: softmaxCrossEntropy
}

export const opNames = Object.keys(table) as readonly OpName[]

export const inferTypes = <K extends OpName>(op: K, inputs: readonly Type[], attributes: OpTable[K]): readonly Type[] =>
  table[op](op, inputs, attributes)
