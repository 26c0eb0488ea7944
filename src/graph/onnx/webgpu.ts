// What is lowered otherwise for WebGPU. Its provider has no FusedMatMul, LogSoftmax or ConstantOfShape: they would run on the CPU, with a
// copy of each operand there and back. And its SimplifiedLayerNormalization leaves its second output, 1 / rms, unwritten.
import type { Shape } from "../Type.ts"
import { logSoftmaxParts, softmaxCrossEntropy } from "./crossEntropy.ts"
import { float, int, ints, type Lower, type LowerTable } from "./Lowering.ts"

const swapped = ({ length: rank }: Shape): readonly number[] => [...Array(rank - 2).keys(), rank - 1, rank - 2]

/** Matrices go through Gemm as elsewhere; batches: alpha op(a) op(b) as Transpose, MatMul, Mul. */
const matMul =
  (usual: Lower<"MatMul">): Lower<"MatMul"> =>
  (lowering) => {
    const { emit, node, attributes, x, y } = lowering
    const { transA, transB, alpha } = attributes
    const isPlain = !transA && !transB && alpha === 1
    if (isPlain || node.inputs.every((input) => input.shape.length === 2)) return usual(lowering)
    const operand = (i: 0 | 1, transposed: boolean): string => {
      if (!transposed) return x[i]!
      return emit.node("Transpose", [x[i]!], [`${y[0]}/${"ab"[i]}`], { perm: ints(swapped(node.inputs[i]!.shape)) })
    }
    const [a, b] = [operand(0, transA), operand(1, transB)]
    if (alpha === 1) emit.node("MatMul", [a, b], y)
    else emit.node("Mul", [emit.node("MatMul", [a, b], [`${y[0]}/product`]), emit.scalar(node.outputs[0]!.dtype, alpha)], y)
  }

/** Index arithmetic in int64 stays on the CPU anyway, and so do its constants. */
const constantOfShape =
  (usual: Lower<"ConstantOfShape">): Lower<"ConstantOfShape"> =>
  (lowering) => {
    const { emit, attributes, y } = lowering
    if (attributes.dtype === "int64") return usual(lowering)
    emit.node("Expand", [emit.scalar(attributes.dtype, attributes.value), emit.ints(attributes.shape)], y)
  }

/** The kernel for y; r = 1 / sqrt(mean(x^2) + epsilon) in parts, which are dead where nothing reads it. */
const rmsNorm: Lower<"SimplifiedLayerNormalization"> = ({ emit, attributes: { epsilon }, x, y }) => {
  emit.node("SimplifiedLayerNormalization", x, [y[0]!], { axis: int(-1), epsilon: float(epsilon) })
  const run = (op: string, name: string, ...inputs: readonly string[]) => emit.node(op, inputs, [`${y[1]}/${name}`])
  const mean = run("ReduceMean", "mean", run("Mul", "square", x[0]!, x[0]!), emit.ints([-1]))
  emit.node("Reciprocal", [run("Sqrt", "rms", run("Add", "sum", mean, emit.scalar("float32", epsilon)))], [y[1]!])
}

/** The usual table with WebGPU's own entries. */
export const forWebgpu = (usual: LowerTable): LowerTable => ({
  ...usual,
  MatMul: matMul(usual.MatMul),
  ConstantOfShape: constantOfShape(usual.ConstantOfShape),
  SimplifiedLayerNormalization: rmsNorm,
  LogSoftmax: ({ emit, attributes, x, y }) => logSoftmaxParts(emit, x[0]!, y[0]!, attributes.axis),
  SoftmaxCrossEntropy: softmaxCrossEntropy(logSoftmaxParts)
})
