// Reverse-mode automatic differentiation: adds to the graph the nodes that compute the gradients of a scalar.
import { GraphError } from "./GraphError.ts"
import type { OpName } from "./op.ts"
import { add } from "./ops/elementwise.ts"
import { filled } from "./ops/shape.ts"
import { rules } from "./rules.ts"
import { isFloat, sizeOf } from "./Type.ts"
import type { Node, Value } from "./Value.ts"
import type { Contribution, Rule } from "./vjp/Rule.ts"

/** Values that depend on one of `wrt`; only through these does a gradient flow, so frozen weights cost nothing. */
const dependents = (nodes: readonly Node[], wrt: readonly Value[]): ReadonlySet<Value> => {
  const found = new Set(wrt)
  for (const node of nodes) {
    if (rules[node.op] === "none" || !node.inputs.some((input) => found.has(input))) continue
    for (const output of node.outputs) if (isFloat(output.dtype)) found.add(output)
  }
  return found
}

const contributions = (node: Node, gradients: readonly (Value | undefined)[]): readonly (Contribution | undefined)[] => {
  const rule = rules[node.op] as Rule<OpName>
  const g = gradients[0]
  const shapes = node.inputs.map((input) => input.shape)
  if (node.op !== "Split" && (g === undefined || gradients.slice(1).some((other) => other !== undefined))) {
    throw new GraphError(node.op, shapes, "a gradient arrived at an auxiliary output", "differentiate the first output only")
  }
  const found = rule({ ...node, gradients, g: g as Value })
  if (found.length !== node.inputs.length) throw new GraphError(node.op, shapes, `the gradient rule has ${found.length} entries`)
  return found
}

/**
 * Gradients of a float scalar with respect to each of `wrt` (any values of the same graph), each of its value's shape.
 * Nodes are walked backwards in the order of their creation; where a value is used several times its gradients are summed.
 * Throws GraphError when the loss is no scalar or does not depend on one of `wrt`.
 */
export const gradients = (loss: Value, wrt: readonly Value[]): Value[] => {
  if (sizeOf(loss.shape) !== 1 || !isFloat(loss.dtype)) {
    throw new GraphError("gradients", [loss.shape], `${loss.name} is no float scalar`, "reduceSum it")
  }
  const nodes = [...loss.graph.nodes]
  const needed = dependents(nodes, wrt)
  const found = new Map<Value, Value>([[loss, loss.graph.constant(1, loss.dtype, loss.shape)]])
  for (const node of nodes.toReversed()) {
    const arrived = node.outputs.map((output) => found.get(output))
    if (arrived.every((g) => g === undefined) || !node.inputs.some((input) => needed.has(input))) continue
    const parts = contributions(node, arrived)
    for (const [i, input] of node.inputs.entries()) {
      if (!needed.has(input)) continue
      const part = parts[i]
      if (part === undefined) {
        if (!isFloat(input.dtype)) continue
        throw new GraphError(
          node.op,
          node.inputs.map((each) => each.shape),
          `no gradient with respect to input ${i} (${input.name})`
        )
      }
      const base = found.get(input)
      if (typeof part === "function") found.set(input, base === undefined ? part() : add(base, part()))
      else found.set(input, part.onto(base ?? filled(input.graph, input.dtype, input.shape)))
    }
  }
  return wrt.map((value) => {
    const g = found.get(value)
    if (g === undefined) throw new GraphError("gradients", [value.shape], `${loss.name} does not depend on ${value.name}`)
    return g
  })
}
