// Ops that work element by element; two inputs broadcast as numpy does. All throw GraphError on shapes or types that do not fit.
import type { OpName, OpTable } from "../op.ts"
import type { DType } from "../Type.ts"
import type { Value } from "../Value.ts"

/** Ops without attributes. */
type Plain = { [K in OpName]: Record<never, never> extends OpTable[K] ? K : never }[OpName]

const plain = (op: Plain, ...inputs: readonly Value[]): Value => inputs[0]!.graph.add(op, inputs, {})[0]!

export const add = (a: Value, b: Value): Value => plain("Add", a, b)
export const sub = (a: Value, b: Value): Value => plain("Sub", a, b)
export const mul = (a: Value, b: Value): Value => plain("Mul", a, b)
export const div = (a: Value, b: Value): Value => plain("Div", a, b)
export const neg = (x: Value): Value => plain("Neg", x)
export const exp = (x: Value): Value => plain("Exp", x)
/** Natural logarithm. */
export const log = (x: Value): Value => plain("Log", x)
export const sqrt = (x: Value): Value => plain("Sqrt", x)
export const reciprocal = (x: Value): Value => plain("Reciprocal", x)
export const sigmoid = (x: Value): Value => plain("Sigmoid", x)
export const tanh = (x: Value): Value => plain("Tanh", x)
/** Gauss error function; float32 only on CPU. */
export const erf = (x: Value): Value => plain("Erf", x)
/** `a` where the bool condition holds, else `b`. */
export const where = (condition: Value, a: Value, b: Value): Value => plain("Where", condition, a, b)
export const equal = (a: Value, b: Value): Value => plain("Equal", a, b)
export const less = (a: Value, b: Value): Value => plain("Less", a, b)
export const greater = (a: Value, b: Value): Value => plain("Greater", a, b)
/** x, taken as a constant: no gradient flows through it (PyTorch's detach). */
export const stopGradient = (x: Value): Value => plain("StopGradient", x)
/**
 * x, computed after `first`. The runtime frees a value when its last reader has run; this makes a reader run early: what only
 * `first` still holds is free before x goes on. x has one dimension or more.
 */
export const after = (x: Value, first: Value): Value => plain("After", x, first)
export const identity = (x: Value): Value => plain("Identity", x)

export const cast = (x: Value, to: DType): Value => (x.dtype === to ? x : x.graph.add("Cast", [x], { to })[0]!)

/** x times a number. */
export const scale = (x: Value, factor: number): Value => mul(x, x.graph.constant(factor, x.dtype, []))
