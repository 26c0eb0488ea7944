// Matrix products.
import type { Value } from "../Value.ts"

export interface MatMulOptions {
  /** Read the last two dimensions of a (b) transposed. */
  readonly transA?: boolean
  readonly transB?: boolean
  /** Factor of the product. */
  readonly alpha?: number
}

/** alpha * a b: a [..., M, K], b [..., K, N] -> [..., M, N]; leading dimensions broadcast. Linear layers: matMul(x, w, { transB: true }). */
export const matMul = (a: Value, b: Value, { transA = false, transB = false, alpha = 1 }: MatMulOptions = {}): Value =>
  a.graph.add("MatMul", [a, b], { transA, transB, alpha })[0]!

/** a b + c of matrices, in one kernel. */
export const matMulAdd = (a: Value, b: Value, c: Value, { transA = false, transB = false }: MatMulOptions = {}): Value =>
  a.graph.add("MatMulAdd", [a, b, c], { transA, transB })[0]!
