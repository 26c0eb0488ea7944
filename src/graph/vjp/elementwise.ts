// Gradient rules of elementwise ops. g is the gradient of y; every formula is elementwise.
import { cast, div, exp, mul, neg, scale, sub, where } from "../ops/elementwise.ts"
import { filled } from "../ops/shape.ts"
import { isFloat } from "../Type.ts"
import { unbroadcast } from "./Rule.ts"
import type { Rule } from "./Rule.ts"

/** y = a + b: da = g, db = g */
export const addRule: Rule<"Add"> = ({ inputs: [a, b], g }) => [() => unbroadcast(g, a!.shape), () => unbroadcast(g, b!.shape)]
/** y = a - b: da = g, db = -g */
export const subRule: Rule<"Sub"> = ({ inputs: [a, b], g }) => [() => unbroadcast(g, a!.shape), () => neg(unbroadcast(g, b!.shape))]
/** y = a b: da = g b, db = g a */
export const mulRule: Rule<"Mul"> = ({ inputs: [a, b], g }) => [
  () => unbroadcast(mul(g, b!), a!.shape),
  () => unbroadcast(mul(g, a!), b!.shape)
]
/** y = a / b: da = g / b, db = -g y / b */
export const divRule: Rule<"Div"> = ({ inputs: [a, b], outputs: [y], g }) => [
  () => unbroadcast(div(g, b!), a!.shape),
  () => neg(unbroadcast(div(mul(g, y!), b!), b!.shape))
]
/** y = -x: dx = -g */
export const negRule: Rule<"Neg"> = ({ g }) => [() => neg(g)]
/** y = e^x: dx = g y */
export const expRule: Rule<"Exp"> = ({ outputs: [y], g }) => [() => mul(g, y!)]
/** y = ln x: dx = g / x */
export const logRule: Rule<"Log"> = ({ inputs: [x], g }) => [() => div(g, x!)]
/** y = sqrt x: dx = g / (2 y) */
export const sqrtRule: Rule<"Sqrt"> = ({ outputs: [y], g }) => [() => div(scale(g, 0.5), y!)]
/** y = 1 / x: dx = -g y^2 */
export const reciprocalRule: Rule<"Reciprocal"> = ({ outputs: [y], g }) => [() => neg(mul(g, mul(y!, y!)))]
/** y = 1 / (1 + e^-x): dx = g (y - y^2) */
export const sigmoidRule: Rule<"Sigmoid"> = ({ outputs: [y], g }) => [() => mul(g, sub(y!, mul(y!, y!)))]
/** y = tanh x: dx = g - g y^2 */
export const tanhRule: Rule<"Tanh"> = ({ outputs: [y], g }) => [() => sub(g, mul(g, mul(y!, y!)))]
/** y = erf x: dx = g 2/sqrt(pi) e^(-x^2) */
export const erfRule: Rule<"Erf"> = ({ inputs: [x], g }) => [() => mul(g, scale(exp(neg(mul(x!, x!))), 2 / Math.sqrt(Math.PI)))]
/** y = c ? a : b: da = c ? g : 0, db = c ? 0 : g */
export const whereRule: Rule<"Where"> = ({ inputs: [c, a, b], g }) => {
  const zero = g.graph.constant(0, g.dtype, [])
  return [undefined, () => unbroadcast(where(c!, g, zero), a!.shape), () => unbroadcast(where(c!, zero, g), b!.shape)]
}
/** y = x in another type: dx = g in x's type (none for integers) */
export const castRule: Rule<"Cast"> = ({ inputs: [x], g }) => [isFloat(x!.dtype) ? () => cast(g, x!.dtype) : undefined]
/** y = x: dx = g */
export const identityRule: Rule<"Identity"> = ({ g }) => [() => g]
/** y = x, whatever was computed before: dx = g, and nothing for what only had to come first */
export const afterRule: Rule<"After"> = ({ inputs: [, first], g }) => [() => g, () => filled(first!.graph, first!.dtype, first!.shape)]
