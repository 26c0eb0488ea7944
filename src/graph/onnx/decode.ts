// Bytes of an ONNX model as plain data: the inverse of encode, for tests and for looking into a model.
// Unknown fields are skipped; what anneal's models never hold (dynamic dimensions, typed data fields) is a RangeError.
import type { DType } from "../Type.ts"
import { dataTypes, opsets } from "./Model.ts"
import type { Domain, OnnxAttribute, OnnxGraph, OnnxModel, OnnxNode, OnnxTensor, OnnxValue } from "./Model.ts"
import { readFields } from "./protobuf.ts"
import type { Field } from "./protobuf.ts"

/** Fields of a message by number, each in file order. */
class Message {
  readonly #fields: readonly Field[]

  constructor(bytes: Uint8Array) {
    this.#fields = [...readFields(bytes)]
  }

  messages(field: number): readonly Message[] {
    return this.bytes(field).map((bytes) => new Message(bytes))
  }
  message(field: number): Message {
    return this.messages(field)[0] ?? new Message(new Uint8Array())
  }
  bytes(field: number): readonly Uint8Array[] {
    return this.#fields.flatMap((each) => (each.field === field && each.kind === "bytes" ? [each.value] : []))
  }
  strings(field: number): readonly string[] {
    return this.bytes(field).map((bytes) => new TextDecoder().decode(bytes))
  }
  string(field: number): string {
    return this.strings(field)[0] ?? ""
  }
  /** Repeated varints, one a field or packed. */
  ints(field: number): readonly number[] {
    return this.#fields.flatMap((each) => {
      if (each.field !== field) return []
      if (each.kind === "varint") return [Number(each.value)]
      throw new RangeError(`field ${field} is not written as single varints`)
    })
  }
  int(field: number): number {
    return this.ints(field)[0] ?? 0
  }
  float(field: number): number {
    return this.#fields.find((each) => each.field === field && each.kind === "float")?.value as number
  }
}

/** The model in the bytes; throws RangeError on bytes that are cut short or no such model. */
export const decodeModel = (bytes: Uint8Array): OnnxModel => {
  const model = new Message(bytes)
  return {
    irVersion: model.int(1),
    opsets: Object.fromEntries(model.messages(8).map((opset) => [opset.string(1), opset.int(2)])),
    ...readGraph(model.message(7))
  }
}

const readGraph = (graph: Message): OnnxGraph => ({
  nodes: graph.messages(1).map(readNode),
  initializers: graph.messages(5).map(readTensor),
  inputs: graph.messages(11).map(readValue),
  outputs: graph.messages(12).map(readValue)
})

const readNode = (node: Message): OnnxNode => {
  const domain = node.string(7)
  if (!(domain in opsets)) throw new RangeError(`unknown operator domain "${domain}"`)
  return {
    name: node.string(3),
    opType: node.string(4),
    domain: domain as Domain,
    inputs: node.strings(1),
    outputs: node.strings(2),
    attributes: Object.fromEntries(node.messages(5).map((attribute) => [attribute.string(1), readAttribute(attribute)]))
  }
}

const readAttribute = (attribute: Message): OnnxAttribute => {
  const type = attribute.int(20)
  if (type === 1) return { kind: "float", value: attribute.float(2) }
  if (type === 2) return { kind: "int", value: attribute.int(3) }
  if (type === 3) return { kind: "string", value: attribute.string(4) }
  if (type === 4) return { kind: "tensor", value: readTensor(attribute.message(5)) }
  if (type === 5) return { kind: "graph", value: readGraph(attribute.message(6)) }
  if (type === 7) return { kind: "ints", value: attribute.ints(8) }
  throw new RangeError(`attribute ${attribute.string(1)} has unknown type ${type}`)
}

const readDType = (code: number): DType => {
  const found = Object.entries(dataTypes).find(([, number]) => number === code)
  if (found === undefined) throw new RangeError(`unknown element type ${code}`)
  return found[0] as DType
}

const readTensor = (tensor: Message): OnnxTensor => {
  const entries = new Map(tensor.messages(13).map((entry) => [entry.string(1), entry.string(2)]))
  const location = entries.get("location")
  return {
    name: tensor.string(8),
    dtype: readDType(tensor.int(2)),
    shape: tensor.ints(1),
    bytes: tensor.bytes(9)[0] ?? new Uint8Array(),
    ...(location === undefined
      ? {}
      : { external: { location, offset: Number(entries.get("offset")), length: Number(entries.get("length")) } })
  }
}

const readValue = (value: Message): OnnxValue => {
  const tensor = value.message(2).message(1)
  const dims = tensor.message(2).messages(1)
  return { name: value.string(1), dtype: readDType(tensor.int(1)), shape: dims.map((dim) => dim.int(1)) }
}
