// 4-bit weights in ONNX: a look-up of two or four values at a time, or com.microsoft's kernel where a linear layer reads the weight.
import type { OpTable } from "../op.ts"
import { sizeOf } from "../Type.ts"
import type { Node, Value } from "../Value.ts"
import type { Emitter } from "./Emitter.ts"
import { dataTypes } from "./Model.ts"

/** table[indices] * absmax, the incomplete end of the last block cut off. */
export const dequantize = (emit: Emitter, { shape, blockSize }: OpTable["Dequantize4Bit"], x: readonly string[], y: string): void => {
  const [, absmax, table, packed] = x as [string, string, string, string]
  const run = (op: string, name: string, ...inputs: readonly string[]) => emit.node(op, inputs, [`${y}/${name}`])
  const indices = emit.node("Cast", [packed], [`${y}/indices`], { to: { kind: "int", value: dataTypes.int32 } })
  const blocks = run("Reshape", "blocks", run("Gather", "units", table, indices), emit.ints([-1, blockSize]))
  const scaled = run("Mul", "scaled", blocks, run("Reshape", "absmax", absmax, emit.ints([-1, 1])))
  const count = sizeOf(shape)
  const whole =
    count % blockSize === 0
      ? scaled
      : run("Slice", "cut", run("Reshape", "flat", scaled, emit.ints([-1])), emit.ints([0]), emit.ints([count]))
  emit.node("Reshape", [whole, emit.ints(shape)], [y])
}

const quantTypes = { fp4: 0, nf4: 1 } as const

type Maker = (value: Value) => Node | undefined

/** The 4-bit weight W [out, in] of a product x W^T: b is W, read transposed, or a transposed W. */
const weightOf = (b: Value, transB: boolean, maker: Maker): Node<"Dequantize4Bit"> | undefined => {
  const made = maker(b)
  const weight = transB || made?.op !== "Transpose" ? made : maker(made.inputs[0]!)
  const isRead = transB === (weight === made)
  return isRead && weight?.op === "Dequantize4Bit" ? (weight as Node<"Dequantize4Bit">) : undefined
}

/**
 * The kernel's inputs and attributes for a product of matrices x W^T over a 4-bit weight of whole blocks; undefined where it is none.
 * The result has the bits that the product with the looked-up values has.
 */
export const kernelOf = ({ inputs, attributes: { transA, transB, alpha } }: Node<"MatMul">, maker: Maker) => {
  const [a, b] = inputs as [Value, Value]
  const weight = weightOf(b, transB, maker)
  if (weight === undefined || transA || alpha !== 1 || a.shape.length !== 2) return undefined
  const { shape, blockSize, quantType } = weight.attributes
  if (quantType === undefined || shape.length !== 2 || sizeOf(shape) % blockSize !== 0) return undefined
  const [packed, absmax] = weight.inputs as [Value, Value]
  return { packed, absmax, attributes: { N: shape[0]!, K: shape[1]!, block_size: blockSize, quant_type: quantTypes[quantType] } }
}
