// Loops at the level of ONNX: graphs put together under names of their own, and the node that runs one of them again and again.
import { orderNodes } from "../order.ts"
import { type OnnxGraph, type OnnxNode, type OnnxTensor, type OnnxValue, readsOf } from "./Model.ts"

/** A graph's nodes and constants under other names: those of `names`, and all others with `prefix` in front. */
export const renamed = (
  graph: OnnxGraph,
  prefix: string,
  names: ReadonlyMap<string, string>
): Pick<OnnxGraph, "nodes" | "initializers"> => {
  const of = (name: string): string => (name === "" ? "" : (names.get(name) ?? `${prefix}${name}`))
  return {
    nodes: graph.nodes.map((node) => ({
      ...node,
      name: `${prefix}${node.name}`,
      inputs: node.inputs.map(of),
      outputs: node.outputs.map(of)
    })),
    initializers: graph.initializers.map((tensor) => ({ ...tensor, name: of(tensor.name) }))
  }
}

/** A value that an iteration hands to the next. */
export interface Carried {
  /** Of the value before the first iteration, in the graph around. */
  readonly first: string
  /** What the body reads. */
  readonly input: OnnxValue
  /** What the body makes. */
  readonly output: string
  /** Of the value behind the last iteration. */
  readonly last: string
}

export interface LoopParts {
  readonly name: string
  /** int64 scalar: how often the body runs. */
  readonly count: string
  /** int64 scalar that the body reads: the iteration, from 0. Counted in the body: the runtime's own lies on the host and would be sent each time. */
  readonly iteration: string
  readonly carried: readonly Carried[]
  /** What the body makes in each iteration and the loop gives side by side. */
  readonly collected: readonly { readonly output: OnnxValue; readonly all: string }[]
  /** Made in the body, in any topological order; they may read all that is around. */
  readonly nodes: readonly OnnxNode[]
}

/** The node, and the constants that it reads beside what is around. */
export const loopNode = (parts: LoopParts): { readonly node: OnnxNode; readonly constants: readonly OnnxTensor[] } => {
  const { name, count, iteration, collected } = parts
  // The condition is handed on as it comes: it is never asked for on a device.
  const condition: OnnxValue = { name: `${name}/go`, dtype: "bool", shape: [] }
  const [first, one] = [int64s(`${name}/first`, [], 0), int64s(`${name}/one`, [], 1)]
  const at: OnnxValue = { name: iteration, dtype: "int64", shape: [] }
  const next = `${name}/next`
  const carried = [{ first: first.name, input: at, output: next, last: `${name}/made` }, ...parts.carried]
  const nodes = [...parts.nodes, plainNode("Add", [iteration, one.name], next)]
  const outputs = [condition, ...carried.map(({ input, output }) => ({ ...input, name: output })), ...collected.map(({ output }) => output)]
  const body: OnnxGraph = {
    nodes: ordered(
      nodes,
      outputs.map((output) => output.name)
    ),
    initializers: [],
    inputs: [{ name: `${name}/iteration`, dtype: "int64", shape: [] }, condition, ...carried.map(({ input }) => input)],
    outputs
  }
  const node: OnnxNode = {
    name,
    opType: "Loop",
    domain: "",
    inputs: [count, "", ...carried.map((each) => each.first)],
    outputs: [...carried.map(({ last }) => last), ...collected.map(({ all }) => all)],
    attributes: { body: { kind: "graph", value: body } }
  }
  return { node, constants: [first, one] }
}

/** Nodes that an output needs, in the order that keeps memory low. */
const ordered = (nodes: readonly OnnxNode[], outputs: readonly string[]): readonly OnnxNode[] =>
  orderNodes(
    nodes.map((node) => ({ node, inputs: readsOf(node), outputs: node.outputs })),
    outputs
  ).map(({ node }) => node)

/** Entry `index` (an int64 scalar) of a constant or input along its first axis. */
export const entryOf = (all: string, index: string, entry: string): OnnxNode => ({
  name: `${entry}/entry`,
  opType: "Gather",
  domain: "",
  inputs: [all, index],
  outputs: [entry],
  attributes: { axis: { kind: "int", value: 0 } }
})

export const plainNode = (opType: string, inputs: readonly string[], output: string): OnnxNode => ({
  ...{ name: `${output}/${opType}`, opType, domain: "", inputs, outputs: [output], attributes: {} }
})

export const int64s = (name: string, shape: readonly number[], ...values: readonly number[]): OnnxTensor => ({
  ...{ name, dtype: "int64", shape, bytes: new Uint8Array(BigInt64Array.from(values, BigInt).buffer) }
})

export const float32 = (name: string, value: number): OnnxTensor => ({
  ...{ name, dtype: "float32", shape: [], bytes: new Uint8Array(Float32Array.of(value).buffer) }
})
