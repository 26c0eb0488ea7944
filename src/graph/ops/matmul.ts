// Matrix products. In a graph whose `products` have another type, those of float32 are computed in it, as torch.autocast does: what comes in is
// rounded to that type, what comes out is float32 again, and so do the gradients.
import type { Value } from "../Value.ts"
import { cast } from "./elementwise.ts"

export interface MatMulOptions {
  /** Read the last two dimensions of a (b) transposed. */
  readonly transA?: boolean
  readonly transB?: boolean
  /** Factor of the product. */
  readonly alpha?: number
}

/** alpha * a b: a [..., M, K], b [..., K, N] -> [..., M, N]; leading dimensions broadcast. Linear layers: matMul(x, w, { transB: true }). */
export const matMul = (a: Value, b: Value, { transA = false, transB = false, alpha = 1 }: MatMulOptions = {}): Value => {
  const { products } = a.graph
  const product = (x: Value, y: Value): Value => a.graph.add("MatMul", [x, y], { transA, transB, alpha })[0]!
  return products === undefined || a.dtype !== "float32" ? product(a, b) : cast(product(cast(a, products), cast(b, products)), "float32")
}

/** a b + c of matrices, in one kernel. */
export const matMulAdd = (a: Value, b: Value, c: Value, { transA = false, transB = false }: MatMulOptions = {}): Value =>
  a.graph.add("MatMulAdd", [a, b, c], { transA, transB })[0]!
