// Results that the runtime copies out of what it made: a scatter's is its first input with some elements changed, a reshaped one has the elements of its input.
// Where the caller gives arrays for the outputs, these inputs become outputs too, under names of their own, for the same arrays: they are made where they are
// wanted, and the runtime, which sees that both lie in one place, copies nothing.
import { aliases } from "../memory.ts"
import type { OnnxModel, OnnxNode, OnnxValue } from "./Model.ts"
import { typesOf } from "./types.ts"

/** The output that is to lie in the array of `output`. */
export const underneath = (output: string): string => `${output}, underneath`

const copying: ReadonlySet<string> = new Set(["ScatterElements", "Reshape"])

/** The model with the outputs that lie under others. */
export const withUnderneath = (model: OnnxModel): OnnxModel => {
  const makers = new Map(model.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)))
  const outputs = new Set(model.outputs.map(({ name }) => name))
  const renamed = new Map<string, string>()
  for (const { name } of model.outputs) {
    let under = name
    for (let maker = makers.get(name); maker !== undefined && copying.has(maker.opType); maker = makers.get(maker.inputs[0]!)) {
      const [first] = maker.inputs as [string]
      if (!makers.has(first) || outputs.has(first) || !isLast(model.nodes, makers, maker, first)) break
      renamed.set(first, (under = underneath(under)))
    }
  }
  if (renamed.size === 0) return model
  const types = typesOf(model)
  const named = (name: string): string => renamed.get(name) ?? name
  const nodes = model.nodes.map((node): OnnxNode => ({ ...node, inputs: node.inputs.map(named), outputs: node.outputs.map(named) }))
  return { ...model, nodes, outputs: [...model.outputs, ...[...renamed].map(([was, name]): OnnxValue => ({ name, ...types.get(was)! }))] }
}

/** Whether all others that read a value have to run before `reader`, and none hands the value on under another name. */
const isLast = (nodes: readonly OnnxNode[], makers: ReadonlyMap<string, OnnxNode>, reader: OnnxNode, value: string): boolean => {
  const others = new Set(nodes.filter((node) => node !== reader && node.inputs.includes(value)))
  if ([...others].some(({ opType }) => aliases.has(opType))) return false
  const seen = new Set([reader])
  for (const node of others.size === 0 ? [] : seen) {
    others.delete(node)
    for (const maker of node.inputs.flatMap((name) => makers.get(name) ?? [])) seen.add(maker)
  }
  return others.size === 0
}
