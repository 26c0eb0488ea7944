// What is lowered otherwise for the CPU. It has no kernel for products of 16-bit matrices: they are computed in float32 between casts that
// round what goes in and what comes out. Left to itself the runtime refuses those of bfloat16, and computes those of float16 without the rounding. 4-bit weights
// it dequantises by a kernel.
import { type DType, is16Bit } from "../Type.ts"
import { logSoftmaxNode, softmaxCrossEntropy } from "./crossEntropy.ts"
import { dequantizeByKernel } from "./fourBit.ts"
import { int, type Lower, type LowerTable } from "./Lowering.ts"
import { dataTypes } from "./Model.ts"
import { transposedProduct } from "./transposedProduct.ts"

const rounded =
  <K extends "MatMul" | "MatMulAdd">(usual: Lower<K>): Lower<K> =>
  (lowering) => {
    const { emit, node, x, y } = lowering
    const { dtype } = node.outputs[0]!
    if (!is16Bit(dtype)) return usual(lowering)
    const cast = (from: string, into: string, to: DType): string => emit.node("Cast", [from], [into], { to: int(dataTypes[to]) })
    const exact = `${y[0]}/exact`
    usual({ ...lowering, x: x.map((name, i) => cast(name, `${y[0]}/${"abc"[i]}`, "float32")), y: [exact] })
    cast(exact, y[0]!, dtype)
  }

/** The usual table with the CPU's own entries. */
export const forCpu = (usual: LowerTable): LowerTable => ({
  ...usual,
  MatMul: rounded(transposedProduct(usual.MatMul)),
  MatMulAdd: rounded(usual.MatMulAdd),
  Dequantize4Bit: dequantizeByKernel,
  // In place.
  SoftmaxCrossEntropy: softmaxCrossEntropy(logSoftmaxNode, "Softmax")
})
