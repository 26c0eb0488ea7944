// A graph as the bytes of an ONNX model. Field numbers are those of onnx.proto (ONNX 1.13, opset 18).
import type { Graph } from "../Graph.ts"
import { lower } from "./lower.ts"
import type { Target } from "./Lowering.ts"
import { dataTypes } from "./Model.ts"
import type { OnnxAttribute, OnnxGraph, OnnxModel, OnnxNode, OnnxTensor, OnnxValue } from "./Model.ts"
import { Writer } from "./protobuf.ts"
import { withUnderneath } from "./underneath.ts"

/**
 * An output of a type that ONNX Runtime's library for Node.js does not return: an empty sequence, before all other outputs. The library copies what it returns,
 * the results too that were written into arrays of the caller; where this one is asked for it ends with an error before the first copy.
 */
export const notReturned = "not returned"

/** Bytes for a session or a file: only nodes that an output needs, in the order that keeps memory low (order.ts). */
export const encodeModel = (graph: Graph, target: Target = "cpu"): Uint8Array => encode(lower(graph, target))

/** `fills`: for results that are written into arrays of the caller; adds `notReturned`, and what lies under outputs (underneath.ts). */
export const encode = (given: OnnxModel, { fills = false } = {}): Uint8Array => {
  const model = fills ? withUnderneath(given) : given
  const writer = new Writer().varint(1, model.irVersion).string(2, "anneal")
  writer.message(7, (w) => {
    if (fills) writeNotReturned(w)
    writeGraph(w, model, "graph")
  })
  for (const [domain, version] of Object.entries(model.opsets)) writer.message(8, (w) => w.string(1, domain).varint(2, version))
  return writer.finish()
}

const writeGraph = (writer: Writer, graph: OnnxGraph, name: string): void => {
  for (const node of graph.nodes) writer.message(1, (w) => writeNode(w, node))
  writer.string(2, name)
  for (const tensor of graph.initializers) writer.message(5, (w) => writeTensor(w, tensor))
  for (const input of graph.inputs) writer.message(11, (w) => writeValue(w, input))
  for (const output of graph.outputs) writer.message(12, (w) => writeValue(w, output))
}

const writeNode = (writer: Writer, node: OnnxNode): void => {
  for (const input of node.inputs) writer.string(1, input)
  for (const output of node.outputs) writer.string(2, output)
  writer.string(3, node.name).string(4, node.opType)
  for (const [name, attribute] of Object.entries(node.attributes)) writer.message(5, (w) => writeAttribute(w, name, attribute))
  if (node.domain !== "") writer.string(7, node.domain)
}

const writeAttribute = (writer: Writer, name: string, attribute: OnnxAttribute): void => {
  writer.string(1, name)
  if (attribute.kind === "float") writer.float(2, attribute.value).varint(20, 1)
  else if (attribute.kind === "int") writer.varint(3, attribute.value).varint(20, 2)
  else if (attribute.kind === "string") writer.string(4, attribute.value).varint(20, 3)
  else if (attribute.kind === "tensor") writer.message(5, (w) => writeTensor(w, attribute.value)).varint(20, 4)
  else if (attribute.kind === "graph") writer.message(6, (w) => writeGraph(w, attribute.value, name)).varint(20, 5)
  else {
    for (const value of attribute.value) writer.varint(8, value)
    writer.varint(20, 7)
  }
}

/** TensorProto.DataLocation.EXTERNAL */
const externalLocation = 1

const writeTensor = (writer: Writer, tensor: OnnxTensor): void => {
  for (const dim of tensor.shape) writer.varint(1, dim)
  writer.varint(2, dataTypes[tensor.dtype]).string(8, tensor.name)
  if (tensor.external === undefined) {
    writer.bytes(9, tensor.bytes)
    return
  }
  for (const [key, value] of Object.entries(tensor.external)) writer.message(13, (w) => w.string(1, key).string(2, String(value)))
  writer.varint(14, externalLocation)
}

const writeNotReturned = (writer: Writer): void => {
  writer.message(1, (node) => node.string(2, notReturned).string(3, notReturned).string(4, "SequenceEmpty"))
  const element = (type: Writer): Writer => type.message(1, (tensor) => tensor.varint(1, dataTypes.float32))
  writer.message(12, (output) =>
    output.string(1, notReturned).message(2, (type) => type.message(4, (sequence) => sequence.message(1, element)))
  )
}

const writeValue = (writer: Writer, value: OnnxValue): void => {
  writer.string(1, value.name).message(2, (type) =>
    type.message(1, (tensor) =>
      tensor.varint(1, dataTypes[value.dtype]).message(2, (shape) => {
        for (const dim of value.shape) shape.message(1, (w) => w.varint(1, dim))
      })
    )
  )
}
