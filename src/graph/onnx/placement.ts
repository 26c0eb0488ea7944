// Whether a device has a kernel for each node of a model: ONNX Runtime would run the others on the CPU and copy their operands there and
// back at each run, without a word.
import type { DType } from "../Type.ts"
import { cudaKernels } from "./kernels/cuda.ts"
import type { Kernel, KernelTable } from "./kernels/Kernel.ts"
import { webgpuKernels } from "./kernels/webgpu.ts"
import type { Target } from "./Lowering.ts"
import { dataTypes, type OnnxGraph, type OnnxModel, type OnnxNode } from "./Model.ts"

const tables: { readonly [T in Target]?: KernelTable } = { cuda: cudaKernels, webgpu: webgpuKernels }

/** Ops whose int64 form may run on the CPU: arithmetic of token ids and positions, few numbers, none of them differentiated. */
const indexOps: { readonly [T in Target]: ReadonlySet<string> } = {
  cpu: new Set(),
  cuda: new Set(),
  webgpu: new Set([
    ...["Add", "Sub", "Mul", "Div", "Cast", "Equal", "Less", "Greater"],
    ...["Reshape", "Expand", "Unsqueeze", "Squeeze", "Transpose", "Concat", "Split", "Slice", "Gather", "ConstantOfShape"]
  ])
}

const typeOf = new Map(Object.entries(dataTypes).map(([name, number]) => [number as number, name as DType]))
const comparisons: ReadonlySet<string> = new Set(["Equal", "Less", "Greater", "And", "Not"])

/** A node's place: on the device, on the CPU because it is index arithmetic, or on the CPU because the device has no kernel for it. */
export type Place = "device" | "index" | "missing"

export interface Placed {
  readonly node: OnnxNode
  /** Element type of its data. */
  readonly type: DType
  readonly place: Place
}

/** All nodes of a model, those of its loops' bodies too, with their places on a device. */
export const placement = (model: OnnxModel, target: Target): readonly Placed[] => placed(model, target, new Map())

const placed = (graph: OnnxGraph, target: Target, around: ReadonlyMap<string, DType>): readonly Placed[] => {
  const types = new Map([...around, ...[...graph.inputs, ...graph.initializers].map(({ name, dtype }) => [name, dtype] as const)])
  return graph.nodes.flatMap((node) => {
    const [type, result] = dataTypesOf(node, (name) => types.get(name)!)
    const { body } = node.attributes
    if (body?.kind === "graph") {
      // A loop gives what its body does, but for the condition.
      node.outputs.forEach((name, i) => types.set(name, body.value.outputs[i + 1]!.dtype))
      return [{ node, type, place: placeOf(node, type, type, target) }, ...placed(body.value, target, types)]
    }
    // What normalisations give besides is float32 whatever they compute in.
    node.outputs.forEach((name, i) => types.set(name, i > 0 && node.opType.endsWith("LayerNormalization") ? "float32" : result))
    return [{ node, type, place: placeOf(node, type, result, target) }]
  })
}

/** The type that a node computes in, and that of its result. */
const dataTypesOf = (node: OnnxNode, type: (name: string) => DType): readonly [DType, DType] => {
  const { opType, inputs, attributes } = node
  const data = type(inputs[opType === "Where" ? 1 : 0]!)
  if (comparisons.has(opType)) return [data, "bool"]
  if (opType === "Cast" && attributes["to"]?.kind === "int") return [data, typeOf.get(attributes["to"].value)!]
  if (opType === "ConstantOfShape" && attributes["value"]?.kind === "tensor") return [data, attributes["value"].value.dtype]
  return [data, data]
}

const placeOf = (node: OnnxNode, type: DType, result: DType, target: Target): Place => {
  const table = tables[target]
  if (table === undefined) return "device"
  const kernel = table[node.domain === "" ? node.opType : `${node.domain}.${node.opType}`]
  if (kernel !== undefined && fits(kernel, type, result)) return "device"
  return type === "int64" && indexOps[target].has(node.opType) ? "index" : "missing"
}

// The runtime's rule (core/framework/kernel_registry.cc): a range without end holds for its first version alone.
const fits = ({ since, from, to, types, results = types }: Kernel, type: DType, result: DType): boolean =>
  (since === from || (to !== undefined && from <= since && since <= to)) &&
  types.includes(type) &&
  (results === types ? true : results.includes(result))
