// Products whose left matrix is read transposed: gradients of weights. The runtime's kernel copies a transposed matrix a dozen columns at a time, again for every
// 128 columns of the result, and goes over the whole result again for every 128 rows. Two other forms have the same bits and are faster (bench/products.ts):
// one product for each few rows of the result, where it is too large for the caches, and an explicit transpose, where copying pays.
import type { Node } from "../Value.ts"
import { float, int, ints, type Lower, type Lowering } from "./Lowering.ts"

/** Rows of the result of an output head, at least. */
const wide = 8192
/** Elements of the left matrix that stay in a core's cache. */
const cached = 175_000
/** Rows summed over, elements of the result and columns of it from which on a transpose pays. */
const worth = { summed: 640, elements: 2 ** 17, columns: 512 }

/** Of the numbers from 64 to 2048 that divide `rows`, the one that comes nearest to `wanted` by its factor. */
const slabOf = (rows: number, wanted: number): number | undefined => {
  const distance = (n: number): number => Math.abs(Math.log(n / wanted))
  const dividing = Array.from({ length: 1985 }, (_, i) => 64 + i).filter((n) => rows % n === 0)
  return dividing.toSorted((a, b) => distance(a) - distance(b))[0]
}

/** [K, M]^T [K, N] in M / n products: [K, M / n, n]^T [K, N]. */
const inSlabs = ({ emit, node, x, y }: Lowering<"MatMul">, n: number): void => {
  const [a, b] = x as [string, string]
  const [k, m] = node.inputs[0]!.shape as [number, number]
  const left = emit.node("Reshape", [a, emit.ints([k, m / n, n])], [`${y[0]}/left`])
  const right = emit.node("Unsqueeze", [b, emit.ints([0])], [`${y[0]}/right`])
  const flags = { transA: int(1), transB: int(0), transBatchA: int(1), alpha: float(1) }
  const slabs = emit.node("FusedMatMul", [left, right], [`${y[0]}/slabs`], flags, "com.microsoft")
  emit.node("Reshape", [slabs, emit.ints(node.outputs[0]!.shape)], y)
}

/** Of a product of float32 matrices whose left one is transposed. */
const formOf = ({ attributes, inputs, outputs }: Node<"MatMul">): "usual" | "transposed" | { readonly slab: number } => {
  const { transA, transB, alpha } = attributes
  const isMatrix = inputs.every(({ shape }) => shape.length === 2)
  if (!isMatrix || !transA || transB || alpha !== 1 || outputs[0]!.dtype === "float64") return "usual"
  const [[k, m], [, n]] = inputs.map(({ shape }) => shape) as [[number, number], [number, number]]
  const slab = m < wide ? undefined : slabOf(m, cached / k)
  if (slab !== undefined) return { slab }
  // Rows that lie whole pages apart push each other out of the cache while they are written.
  const pages = (4 * k) % 4096 === 0
  return m >= wide || pages || k < worth.summed || m * n < worth.elements || n < worth.columns ? "usual" : "transposed"
}

/** Whether a transpose stands before the product, which then reads neither matrix transposed. */
export const isTransposed = (node: Node<"MatMul">): boolean => formOf(node) === "transposed"

/** The usual lowering but for products of float32 matrices whose left one is transposed. */
export const transposedProduct =
  (usual: Lower<"MatMul">): Lower<"MatMul"> =>
  (lowering) => {
    const { emit, node, x, y } = lowering
    const form = formOf(node)
    if (form === "usual") return usual(lowering)
    if (form !== "transposed") return inSlabs(lowering, form.slab)
    const transposed = emit.node("Transpose", [x[0]!], [`${y[0]}/transposed`], { perm: ints([1, 0]) })
    emit.node("MatMul", [transposed, x[1]!], y)
  }
