// Every op that a graph may hold, with the type of its attributes. Most are ONNX ops under their own name, with what ONNX passes as
// constant inputs (axes, shapes) as attributes; MatMul, Silu, RotaryEmbedding and SoftmaxCrossEntropy are lowered (onnx/lower.ts).
import type { DType, Shape } from "./Type.ts"

type None = Record<never, never>
interface Axis {
  readonly axis: number
}
interface Reduction {
  /** Counted from the front, ascending. */
  readonly axes: readonly number[]
  readonly keepdims: boolean
}

/** Op name to attributes. Adding a line here makes infer.ts, rules.ts and onnx/lower.ts incomplete until they know the op too. */
export interface OpTable {
  Add: None
  Sub: None
  Mul: None
  Div: None
  Neg: None
  Exp: None
  Log: None
  Sqrt: None
  Reciprocal: None
  Sigmoid: None
  Tanh: None
  Erf: None
  /** inputs: condition bool, then, else. */
  Where: None
  Equal: None
  Less: None
  Greater: None
  Cast: { readonly to: DType }
  Identity: None
  /** inputs: x, and a value of the same type that must be computed before: the output is x (see ops/elementwise.ts). */
  After: None
  /** inputs: a, b, c [M, N]: op(a) op(b) + c of matrices. */
  MatMulAdd: { readonly transA: boolean; readonly transB: boolean }
  /** x itself, but a constant to differentiation. */
  StopGradient: None
  /** alpha * op(a) op(b) over the last two dimensions; leading ones broadcast. */
  MatMul: { readonly transA: boolean; readonly transB: boolean; readonly alpha: number }
  Reshape: { readonly shape: Shape }
  Expand: { readonly shape: Shape }
  Transpose: { readonly perm: readonly number[] }
  Concat: Axis
  Split: Axis & { readonly sizes: readonly number[] }
  /** One axis, step 1, from `start` up to but without `end`. */
  Slice: Axis & { readonly start: number; readonly end: number }
  /** No input: a tensor filled with one value. */
  ConstantOfShape: { readonly shape: Shape; readonly value: number; readonly dtype: DType }
  ReduceSum: Reduction
  ReduceMean: Reduction
  ReduceMax: Reduction
  /** inputs: data, indices int64 or int32. `paddingIdx`: the row of data whose gradient is zero. */
  Gather: Axis & { readonly paddingIdx?: number }
  GatherElements: Axis
  /** inputs: data, indices int64 of the shape of updates, updates. */
  ScatterElements: Axis & { readonly reduction: "none" | "add" }
  Softmax: Axis
  LogSoftmax: Axis
  /**
   * bitsandbytes' 4-bit form. inputs: packed uint8 [count / 2 rounded up to whole blocks], absmax float32 [blocks], table float32 [256, 2], the two
   * values of each byte. `quantType`: the table is that of this code, for which there is a kernel.
   */
  Dequantize4Bit: { readonly shape: Shape; readonly blockSize: number; readonly quantType?: "nf4" | "fp4" }
  /** inputs: x [..., D], scale [D]; outputs: y, 1 / rms [..., 1]. */
  SimplifiedLayerNormalization: { readonly epsilon: number }
  /** inputs: x [..., D], scale [D], bias [D]; outputs: y, mean [..., 1], 1 / standard deviation [..., 1]. */
  LayerNormalization: { readonly epsilon: number }
  /** inputs: x [B,H,T,hd], positions int64 [B,T], cos and sin [maxPosition, hd/2]; halves are rotated (x1|x2), not pairs. */
  RotaryEmbedding: None
  Silu: None
  Gelu: { readonly approximate: "none" | "tanh" }
  /** inputs: logits [M,V], targets int64 [M]; outputs: nll [M], softmax of the logits [M,V] (for the gradient). */
  SoftmaxCrossEntropy: None
}

export type OpName = keyof OpTable
