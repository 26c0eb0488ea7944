// A graph as text, one line a node: `Add_7: float32 [4,8] = Add(x, bias)`.
import type { Graph } from "./Graph.ts"
import { showShape } from "./Type.ts"
import type { Value } from "./Value.ts"

const typed = (value: Value): string => `${value.name}: ${value.dtype} ${showShape(value.shape)}`

const showAttributes = (attributes: object): string =>
  Object.entries(attributes)
    .map(([name, value]) => `${name}=${Array.isArray(value) ? showShape(value as readonly number[]) : String(value)}`)
    .join(" ")

/** Inputs, constants, nodes in the order of their creation, outputs; meant for reading, not for parsing. */
export const printGraph = (graph: Graph): string =>
  [
    ...graph.inputs.map((input) => `input ${typed(input)}`),
    ...graph.initializers.map(({ value, data }) => `constant ${typed(value)}${data.length === 1 ? ` = ${String(data[0])}` : ""}`),
    ...graph.externals.map(({ value, slice }) => `external ${typed(value)} = ${slice.file} at ${slice.offset}`),
    ...graph.nodes.map((node) => {
      const call = `${node.op}(${node.inputs.map((input) => input.name).join(", ")})`
      return [node.outputs.map(typed).join(", "), "=", call, showAttributes(node.attributes)].join(" ").trimEnd()
    }),
    ...graph.outputs.map(({ name, value }) => `output ${name} = ${value.name}`)
  ].join("\n") + "\n"
