// What a backward pass computes again instead of keeping it from the forward pass: the values inside a layer, whose borders alone
// are kept (gradient checkpointing, Chen et al. 2016), what is made of stored weights, such as the float32 form of a bfloat16 one, and
// what one pass over values that are kept anyway gives, such as a norm's result, and the weights of attention, which grow by the square of
// the length (Dao et al. 2022 leave them out for the same reason).
// The copies read the same inputs by the same ops, so the gradients have the same bits.
import type { OpName } from "./op.ts"
import type { Node, Value } from "./Value.ts"

export interface Recompute {
  /**
   * Borders between segments, in the order of their creation. What lies between two of them is computed again from the lower one when
   * the backward pass comes there; not so above the last but one, where it is needed at once.
   */
  readonly borders?: readonly Value[]
  /** Inputs that hold weights in a stored form: what is computed from them and constants alone is made again at each use. */
  readonly stored?: readonly Value[]
  /** What elementwise ops and norms make of values that their own gradient rules read is computed again, and what Softmax makes of products. */
  readonly cheap?: boolean
}

/** The value that a gradient rule of `node` reads instead of `value`, one of its inputs or outputs. */
export type Replay = (node: Node, value: Value) => Value

/** Values made of stored weights and constants alone. */
const madeOf = (nodes: readonly Node[], stored: readonly Value[]): ReadonlySet<Value> => {
  const weights = new Set<Value>(stored)
  const made = new Set(nodes.flatMap((node) => node.outputs))
  const derived = new Set<Value>()
  const inputs = new Set(nodes.flatMap((node) => node.inputs.filter((input) => !made.has(input))))
  const constants = new Set([...inputs].filter((input) => input.constant === true))
  for (const node of nodes) {
    const isWeight = (input: Value): boolean => weights.has(input) || derived.has(input)
    if (node.inputs.some(isWeight) && node.inputs.every((input) => isWeight(input) || constants.has(input))) {
      for (const output of node.outputs) derived.add(output)
    } else if (node.inputs.length > 0 && node.inputs.every((input) => constants.has(input))) {
      for (const output of node.outputs) constants.add(output)
    }
  }
  return derived
}

/** Ops of one pass over their input, which their gradient rule reads too, or which is kept in another type. */
const onePass: ReadonlySet<OpName> = new Set(["Cast", "Silu", "Gelu", "SimplifiedLayerNormalization", "LayerNormalization"])

/** What lies between a matrix product, its result included, and the Softmax over it: scaled, masked and reshaped, but not read by other rules. */
const attentionWeights = (nodes: readonly Node[]): ReadonlySet<Value> => {
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)))
  const between: ReadonlySet<OpName> = new Set(["Add", "Reshape"])
  const chain = (value: Value): readonly Value[] => {
    const node = producers.get(value)
    if (node?.op === "MatMul") return [value]
    if (node === undefined || !between.has(node.op)) return []
    const above = chain(node.inputs[0] as Value)
    return above.length === 0 ? [] : [value, ...above]
  }
  const found = new Set<Value>()
  for (const { op, inputs, outputs } of nodes) {
    const [input, output] = [inputs[0] as Value, outputs[0] as Value]
    const above = op === "Softmax" ? chain(input) : []
    if (above.length > 0 || (op === "Reshape" && found.has(input))) for (const value of [...above, output]) found.add(value)
  }
  return found
}

/** `nodes` are those of the forward pass; copies are appended to their graph when they are first asked for. */
export const replayOf = (nodes: readonly Node[], { borders = [], stored = [], cheap = false }: Recompute): Replay => {
  const producers = new Map(nodes.flatMap((node, index) => node.outputs.map((output) => [output, { node, index }] as const)))
  const positions = new Map(nodes.map((node, index) => [node, index]))
  const cuts = borders.map((border) => producers.get(border)?.index ?? -1)
  const segmentOf = (index: number): number | undefined => {
    const above = cuts.findIndex((cut) => index <= cut)
    return above > 0 && above < cuts.length - 1 ? above : undefined
  }
  const derived = madeOf(nodes, stored)
  const kept = new Set(borders)
  const bySegment = new Map<number, Map<Value, Value>>()
  const ofCheap = new Map<Value, Value>()
  const attention = cheap ? attentionWeights(nodes) : new Set<Value>()
  const isCheap = (value: Value, { op, inputs, outputs }: Node): boolean =>
    attention.has(value) ||
    (cheap &&
      value === outputs[0] &&
      (onePass.has(op) || (op === "Mul" && inputs.every((input) => producers.has(input) && input.shape.join() === value.shape.join()))))

  const copyOf = (node: Node, value: Value, read: (input: Value) => Value, into: Map<Value, Value>): Value => {
    const outputs = value.graph.add(node.op, node.inputs.map(read), node.attributes as never)
    node.outputs.forEach((output, i) => into.set(output, outputs[i] as Value))
    return into.get(value) as Value
  }
  /** Stored weights' values are fresh at each use, so that none outlives it. */
  const fresh = (value: Value, own: Map<Value, Value>): Value => {
    if (!derived.has(value)) return value
    return own.get(value) ?? copyOf(producers.get(value)!.node, value, (input) => fresh(input, own), own)
  }
  const read = (segment: number | undefined, value: Value): Value => {
    if (derived.has(value)) return fresh(value, new Map())
    const producer = producers.get(value)
    if (producer === undefined || kept.has(value)) return value
    if (segment === undefined) {
      if (!isCheap(value, producer.node)) return value
      return ofCheap.get(value) ?? copyOf(producer.node, value, (input) => read(undefined, input), ofCheap)
    }
    if (segmentOf(producer.index) !== segment) return value
    const copies = bySegment.get(segment) ?? new Map<Value, Value>()
    bySegment.set(segment, copies)
    return copies.get(value) ?? copyOf(producer.node, value, (input) => read(segment, input), copies)
  }
  return (node, value) => read(segmentOf(positions.get(node)!), value)
}
