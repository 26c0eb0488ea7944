// Gradient rule of the matrix product, for every combination of transposes; no Transpose node is needed.
import { matMul, matMulAdd } from "../ops/matmul.ts"
import { reshape } from "../ops/shape.ts"
import type { Value } from "../Value.ts"
import { unbroadcast } from "./Rule.ts"
import type { Rule } from "./Rule.ts"

/** [..., D] -> [M, D]. */
const flat = (x: Value): Value => reshape(x, [-1, x.shape.at(-1)!])

/**
 * Y = alpha A' B' with A' = A or its transpose, B' = B or its transpose:
 * dA' = alpha G B'^T and dB' = alpha A'^T G, each written so that the transposes end up in the flags.
 */
export const matMulRule: Rule<"MatMul"> = ({ inputs: [a, b], attributes: { transA, transB, alpha }, g }) => {
  // A matrix shared by a batch: one product over all rows sums the batch by itself.
  const shared = b!.shape.length === 2 && !transA
  const [rows, gradient] = shared ? [flat(a!), flat(g)] : [a!, g]
  const [left, right, flags] = transB
    ? [gradient, rows, { transA: true, transB: transA }] // dB = G^T A'
    : [rows, gradient, { transA: !transA, transB: false }] // dB = A'^T G
  const forB = (): Value => unbroadcast(matMul(left, right, { ...flags, alpha }), b!.shape)
  return [
    () =>
      unbroadcast(
        transA
          ? matMul(b!, g, { transA: transB, transB: true, alpha }) // dA = B' G^T
          : matMul(g, b!, { transB: !transB, alpha }), // dA = G B'^T
        a!.shape
      ),
    // Where a gradient of b is there already, the product is added to it by its own kernel.
    shared && alpha === 1 ? { compute: forB, onto: (base) => matMulAdd(left, right, base, flags) } : forB
  ]
}

/** Y = A' B' + C: as the product's, and dC = g */
export const matMulAddRule: Rule<"MatMulAdd"> = ({ inputs: [a, b], outputs, attributes, g }) => {
  const product = matMulRule({ inputs: [a!, b!], outputs, attributes: { ...attributes, alpha: 1 }, g, gradients: [g] })
  return [...product, () => g]
}
