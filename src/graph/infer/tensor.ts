// Shape rules of matmuls, indexing and the neural-network ops.
import type { OpTable } from "../op.ts"
import { broadcast, sameShape, sizeOf } from "../Type.ts"
import type { Type } from "../Type.ts"
import { expectAxis, expectCount, expectDType, expectFloat, expectSameDType, fail } from "./check.ts"
import type { Infer } from "./check.ts"

const productOf = (op: string, inputs: readonly Type[], { transA, transB }: OpTable["MatMulAdd"]): Type => {
  expectFloat(op, inputs)
  expectSameDType(op, inputs)
  const [a, b] = inputs.map((input) => input.shape) as [readonly number[], readonly number[]]
  if (a.length < 2 || b.length < 2) fail(op, inputs, "both sides need two dimensions or more", "reshape a vector to [n,1] or [1,n]")
  const [m, k] = transA ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!]
  const [k2, n] = transB ? [b.at(-1)!, b.at(-2)!] : [b.at(-2)!, b.at(-1)!]
  const batch = broadcast(a.slice(0, -2), b.slice(0, -2))
  if (k !== k2 || batch === undefined) {
    const flags = `${transA ? " transA" : ""}${transB ? " transB" : ""}`.trim()
    return fail(op, inputs, "shape mismatch", k !== k2 ? `inner dimensions ${k} and ${k2}${flags && `, ${flags}`}` : "batch dimensions")
  }
  return { dtype: inputs[0]!.dtype, shape: [...batch, m, n] }
}

export const matMul: Infer<"MatMul"> = (op, inputs, attributes) => {
  expectCount(op, inputs, 2)
  return [productOf(op, inputs, attributes)]
}

export const matMulAdd: Infer<"MatMulAdd"> = (op, inputs, attributes) => {
  expectCount(op, inputs, 3)
  const [a, b, c] = inputs as [Type, Type, Type]
  const product = productOf(op, [a, b], attributes)
  expectSameDType(op, inputs)
  if (a.shape.length !== 2 || b.shape.length !== 2 || !sameShape(product.shape, c.shape)) {
    fail(op, inputs, "shape mismatch", "matrices only, c of the product's shape")
  }
  return [product]
}

export const gather: Infer<"Gather"> = (op, inputs, attributes) => {
  expectCount(op, inputs, 2)
  const [data, indices] = inputs as [Type, Type]
  if (indices.dtype !== "int32") expectDType(op, inputs, indices, "int64")
  const axis = expectAxis(op, inputs, attributes.axis, data.shape.length)
  return [{ dtype: data.dtype, shape: [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)] }]
}

/** indices have data's rank and no larger dimensions except along the axis. */
const expectElementIndices = (op: string, inputs: readonly Type[], given: number): void => {
  const [data, indices] = inputs as [Type, Type]
  expectDType(op, inputs, indices, "int64")
  const axis = expectAxis(op, inputs, given, data.shape.length)
  const fits = indices.shape.length === data.shape.length && indices.shape.every((dim, i) => i === axis || dim <= data.shape[i]!)
  if (!fits) fail(op, inputs, "shape mismatch", `indices must have the rank of data and fit it everywhere but along axis ${axis}`)
}

export const gatherElements: Infer<"GatherElements"> = (op, inputs, { axis }) => {
  expectCount(op, inputs, 2)
  expectElementIndices(op, inputs, axis)
  return [{ dtype: inputs[0]!.dtype, shape: inputs[1]!.shape }]
}

export const scatterElements: Infer<"ScatterElements"> = (op, inputs, { axis }) => {
  expectCount(op, inputs, 3)
  expectElementIndices(op, inputs, axis)
  const [data, indices, updates] = inputs as [Type, Type, Type]
  expectSameDType(op, inputs, [data, updates])
  if (!sameShape(indices.shape, updates.shape)) fail(op, inputs, "shape mismatch", "indices and updates must have the same shape")
  return [data]
}

export const dequantize4Bit: Infer<"Dequantize4Bit"> = (op, inputs, { shape, blockSize }) => {
  expectCount(op, inputs, 3)
  const [packed, absmax, table] = inputs as [Type, Type, Type]
  expectDType(op, inputs, packed, "uint8")
  expectDType(op, inputs, absmax, "float32")
  expectDType(op, inputs, table, "float32")
  const blocks = Math.ceil(sizeOf(shape) / blockSize)
  const expected = { packed: [(blocks * blockSize) / 2], absmax: [blocks], table: [256, 2] }
  const found = [packed, absmax, table]
  if (Object.values(expected).every((each, i) => sameShape(found[i]!.shape, each))) return [{ dtype: "float32", shape }]
  const list = Object.entries(expected).map(([name, each]) => `${name} [${each.join(",")}]`)
  return fail(op, inputs, "shape mismatch", `${blocks} blocks of ${blockSize}: ${list.join(", ")}`)
}

export const softmax: Infer<"Softmax" | "LogSoftmax"> = (op, inputs, { axis }) => {
  expectCount(op, inputs, 1)
  expectFloat(op, inputs)
  expectAxis(op, inputs, axis, inputs[0]!.shape.length)
  return inputs
}

export const rmsNorm: Infer<"SimplifiedLayerNormalization"> = (op, inputs) => {
  expectCount(op, inputs, 2)
  expectFloat(op, inputs)
  expectSameDType(op, inputs)
  const [x, scale] = inputs as [Type, Type]
  const last = x.shape.at(-1)
  if (last === undefined || !sameShape(scale.shape, [last]))
    fail(op, inputs, "shape mismatch", "scale must be [D] with D the last axis of x")
  return [x, { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] }]
}

export const layerNorm: Infer<"LayerNormalization"> = (op, inputs) => {
  expectCount(op, inputs, 3)
  expectFloat(op, inputs)
  expectSameDType(op, inputs)
  const [x, scale, bias] = inputs as [Type, Type, Type]
  const last = x.shape.at(-1)
  if (last === undefined || !sameShape(scale.shape, [last]) || !sameShape(bias.shape, [last]))
    fail(op, inputs, "shape mismatch", "scale and bias must be [D] with D the last axis of x")
  const row = { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] }
  return [x, row, row]
}

export const rotaryEmbedding: Infer<"RotaryEmbedding"> = (op, inputs) => {
  expectCount(op, inputs, 4)
  const [x, positions, cos, sin] = inputs as [Type, Type, Type, Type]
  expectDType(op, inputs, positions, "int64")
  expectSameDType(op, inputs, [x, cos, sin])
  const [batch, , length, width] = x.shape
  const fits =
    x.shape.length === 4 &&
    width! % 2 === 0 &&
    sameShape(positions.shape, [batch!, length!]) &&
    cos.shape.length === 2 &&
    cos.shape[1] === width! / 2
  if (!fits || !sameShape(cos.shape, sin.shape)) {
    fail(op, inputs, "shape mismatch", "x [B,H,T,hd], positions [B,T], cos and sin [maxPosition,hd/2]")
  }
  return [x]
}

export const softmaxCrossEntropy: Infer<"SoftmaxCrossEntropy"> = (op, inputs) => {
  expectCount(op, inputs, 2)
  const [logits, targets] = inputs as [Type, Type]
  expectFloat(op, inputs, [logits])
  expectDType(op, inputs, targets, "int64")
  const fits = logits.shape.length === 2 && sameShape(targets.shape, [logits.shape[0]!])
  if (!fits) fail(op, inputs, "shape mismatch", "logits [M,V], targets [M]")
  return [{ dtype: logits.dtype, shape: targets.shape }, logits]
}
