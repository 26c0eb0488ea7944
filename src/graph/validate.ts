// The invariants of a graph and of the ONNX model that it becomes; every graph test calls this.
import type { Graph } from "./Graph.ts"
import { inferTypes } from "./infer.ts"
import { lower } from "./onnx/lower.ts"
import { opsets, readsOf } from "./onnx/Model.ts"
import type { OnnxGraph, OnnxModel } from "./onnx/Model.ts"
import { sameShape, showShape } from "./Type.ts"
import type { Node } from "./Value.ts"

/** Problems found, one line each; empty for a valid graph. */
export const validate = (graph: Graph): readonly string[] => [...validateGraph(graph), ...validateModel(lower(graph))]

const validateGraph = (graph: Graph): readonly string[] => {
  const problems: string[] = []
  const known = new Set([...graph.inputs, ...graph.initializers.map((each) => each.value), ...graph.externals.map((each) => each.value)])
  for (const node of graph.nodes) {
    for (const input of node.inputs) if (!known.has(input)) problems.push(`${node.op} reads ${input.name} before it exists`)
    for (const output of node.outputs) known.add(output)
    problems.push(...validateTypes(node))
  }
  for (const { name, value } of graph.outputs) if (!known.has(value)) problems.push(`output ${name} is made by no node`)
  const names = [...known].map((value) => value.name)
  if (new Set(names).size !== names.length) problems.push("two values have the same name")
  return problems
}

/** Shapes and types are what inference says now. */
const validateTypes = (node: Node): readonly string[] => {
  const types = inferTypes(node.op, node.inputs, node.attributes)
  if (types.length !== node.outputs.length) return [`${node.op} has ${node.outputs.length} outputs instead of ${types.length}`]
  return node.outputs.flatMap((output, i) => {
    const { dtype, shape } = types[i]!
    const agrees = output.dtype === dtype && sameShape(output.shape, shape)
    return agrees ? [] : [`${output.name} is ${output.dtype} ${showShape(output.shape)} instead of ${dtype} ${showShape(shape)}`]
  })
}

/** Topological order, unique names, no dead node, known domains and opsets; in the bodies of loops too, which see what lies around them. */
export const validateModel = (model: OnnxModel): readonly string[] => validateOnnx(model, model.opsets, new Set())

const validateOnnx = (graph: OnnxGraph, versions: OnnxModel["opsets"], around: ReadonlySet<string>): readonly string[] => {
  const problems: string[] = []
  const known = new Set(around)
  for (const { name } of [...graph.inputs, ...graph.initializers]) {
    if (known.has(name)) problems.push(`two inputs or constants are called ${name}`)
    known.add(name)
  }
  const wanted = new Set([...graph.nodes.flatMap(readsOf), ...graph.outputs.map((output) => output.name)])
  for (const node of graph.nodes) {
    for (const input of readsOf(node)) if (!known.has(input)) problems.push(`node ${node.name} reads ${input} before it exists`)
    for (const attribute of Object.values(node.attributes))
      if (attribute.kind === "graph") problems.push(...validateOnnx(attribute.value, versions, known))
    for (const output of node.outputs.filter((name) => name !== "")) {
      if (known.has(output)) problems.push(`two values are called ${output}`)
      known.add(output)
    }
    if (!node.outputs.some((output) => wanted.has(output))) problems.push(`node ${node.name} is dead`)
    if (versions[node.domain] !== opsets[node.domain]) problems.push(`node ${node.name} needs domain "${node.domain}"`)
  }
  for (const output of graph.outputs) if (!known.has(output.name)) problems.push(`output ${output.name} is made by no node`)
  const names = graph.nodes.map((node) => node.name)
  if (new Set(names).size !== names.length) problems.push("two nodes have the same name")
  return problems
}
