// 4-bit weights in ONNX: a look-up of two values at a time, or com.microsoft's kernel.
import type { OpTable } from "../op.ts"
import { sizeOf } from "../Type.ts"
import type { Node, Value } from "../Value.ts"
import type { Emitter } from "./Emitter.ts"
import { int, type Lower } from "./Lowering.ts"
import { dataTypes } from "./Model.ts"

/** y: the first of the values, as many as `shape` has, in this shape. */
const cut = (emit: Emitter, { shape, blockSize }: OpTable["Dequantize4Bit"], values: string, y: string): void => {
  const count = sizeOf(shape)
  const flat = (): string => emit.node("Reshape", [values, emit.ints([-1])], [`${y}/flat`])
  const whole = count % blockSize === 0 ? values : emit.node("Slice", [flat(), emit.ints([0]), emit.ints([count])], [`${y}/cut`])
  emit.node("Reshape", [whole, emit.ints(shape)], [y])
}

/** table[packed] * absmax, the incomplete end of the last block cut off. */
export const dequantize: Lower<"Dequantize4Bit"> = ({ emit, attributes, x, y: [y] }) => {
  const [packed, absmax, table] = x as [string, string, string]
  const run = (op: string, name: string, ...inputs: readonly string[]) => emit.node(op, inputs, [`${y}/${name}`])
  const indices = emit.node("Cast", [packed], [`${y}/indices`], { to: int(dataTypes.int32) })
  const blocks = run("Reshape", "blocks", run("Gather", "units", table, indices), emit.ints([-1, attributes.blockSize]))
  cut(emit, attributes, run("Mul", "scaled", blocks, run("Reshape", "absmax", absmax, emit.ints([-1, 1]))), y!)
}

const quantTypes = { fp4: 0, nf4: 1 } as const

/**
 * The same values where a kernel knows the code: it dequantises the weight of a product before it multiplies, and 1 x W^T over a weight of one value a row is
 * all values in their order. Four times faster than the look-up.
 */
export const dequantizeByKernel: Lower<"Dequantize4Bit"> = (lowering) => {
  const { emit, attributes, x, y } = lowering
  const { shape, blockSize, quantType } = attributes
  if (quantType === undefined) return dequantize(lowering)
  const count = Math.ceil(sizeOf(shape) / blockSize) * blockSize
  const one = emit.node("Reshape", [emit.scalar("float32", 1), emit.ints([1, 1])], [`${y[0]}/one`])
  const sizes = { N: int(count), K: int(1), block_size: int(blockSize), quant_type: int(quantTypes[quantType]) }
  cut(emit, attributes, emit.node("MatMulBnb4", [one, x[0]!, x[1]!], [`${y[0]}/values`], sizes, "com.microsoft"), y[0]!)
}

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
