// Reverse-mode automatic differentiation: adds to the graph the nodes that compute the gradients of a scalar.
import { GraphError } from "./GraphError.ts"
import type { OpName } from "./op.ts"
import { add } from "./ops/elementwise.ts"
import { filled } from "./ops/shape.ts"
import { type Recompute, type Replay, replayOf } from "./recompute.ts"
import { rules } from "./rules.ts"
import { isFloat, sizeOf } from "./Type.ts"
import type { GraphBuilder, Node, Value } from "./Value.ts"
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

const contributions = (node: Node, gradients: readonly (Value | undefined)[], replay: Replay): readonly (Contribution | undefined)[] => {
  const rule = rules[node.op] as Rule<OpName>
  const g = gradients[0]
  const shapes = node.inputs.map((input) => input.shape)
  if (node.op !== "Split" && (g === undefined || gradients.slice(1).some((other) => other !== undefined))) {
    throw new GraphError(node.op, shapes, "a gradient arrived at an auxiliary output", "differentiate the first output only")
  }
  const again = (values: readonly Value[]): readonly Value[] => values.map((value) => replay(node, value))
  const found = rule({ ...node, inputs: again(node.inputs), outputs: again(node.outputs), gradients, g: g as Value })
  if (found.length !== node.inputs.length) throw new GraphError(node.op, shapes, `the gradient rule has ${found.length} entries`)
  return found
}

export interface VjpOptions {
  /** Only nodes from this number on are walked: what lies before is taken as given. Default 0. */
  readonly since?: number
  /** Gradients that are there already: what is found is added to them. */
  readonly onto?: ReadonlyMap<Value, Value>
  /** Values that gradient rules read in place of others. */
  readonly replace?: ReadonlyMap<Value, Value>
  readonly recompute?: Recompute
}

/**
 * Vector-Jacobian product: gradients with respect to `wrt` of the sum of seed x value over `seeds` (a value to the gradient that
 * arrives at it, of its shape). Undefined where nothing flows. Nodes are walked backwards in the order of their creation; where
 * a value is used several times its gradients are summed.
 */
export const vjp = (
  graph: GraphBuilder,
  seeds: ReadonlyMap<Value, Value>,
  wrt: readonly Value[],
  { since = 0, onto, replace, recompute = {} }: VjpOptions = {}
): (Value | undefined)[] => {
  const nodes = graph.nodes.slice(since)
  const needed = dependents(nodes, wrt)
  const replayed = replayOf(nodes, recompute)
  const replay: Replay = (node, value) => replace?.get(value) ?? replayed(node, value)
  const found = new Map<Value, Value>([...(onto ?? []), ...seeds])
  for (const node of nodes.toReversed()) {
    const arrived = node.outputs.map((output) => found.get(output))
    if (arrived.every((g) => g === undefined) || !node.inputs.some((input) => needed.has(input))) continue
    const parts = contributions(node, arrived, replay)
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
      found.set(input, joined(part, found.get(input), input))
    }
  }
  return wrt.map((value) => found.get(value))
}

const joined = (part: Contribution, base: Value | undefined, { graph, dtype, shape }: Value): Value => {
  if (typeof part === "function") return base === undefined ? part() : add(base, part())
  return base === undefined && part.compute !== undefined ? part.compute() : part.onto(base ?? filled(graph, dtype, shape))
}

/**
 * Gradients of a float scalar with respect to each of `wrt` (any values of the same graph), each of its value's shape.
 * Throws GraphError when the loss is no scalar or does not depend on one of `wrt`.
 */
export const gradients = (loss: Value, wrt: readonly Value[], options: VjpOptions = {}): Value[] => {
  if (sizeOf(loss.shape) !== 1 || !isFloat(loss.dtype)) {
    throw new GraphError("gradients", [loss.shape], `${loss.name} is no float scalar`, "reduceSum it")
  }
  const found = vjp(loss.graph, new Map([[loss, loss.graph.constant(1, loss.dtype, loss.shape)]]), wrt, options)
  return found.map((g, i) => {
    const value = wrt[i] as Value
    if (g === undefined) throw new GraphError("gradients", [value.shape], `${loss.name} does not depend on ${value.name}`)
    return g
  })
}
