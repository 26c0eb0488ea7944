// Collects the ONNX nodes and constants that a graph is lowered to: names values, shares equal constants.
import { arrayClass } from "../Type.ts"
import type { DType, Shape, TypedArray } from "../Type.ts"
import type { Value } from "../Value.ts"
import type { Domain, OnnxAttribute, OnnxNode, OnnxTensor } from "./Model.ts"

const bytesOf = (data: TypedArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

export class Emitter {
  readonly nodes: OnnxNode[] = []
  readonly initializers: OnnxTensor[] = []
  readonly #renamed = new Map<Value, string>()
  readonly #constants = new Map<string, string>()

  /** Lets a value appear under another name (that of a graph output). */
  rename(value: Value, name: string): void {
    this.#renamed.set(value, name)
  }

  nameOf(value: Value): string {
    return this.#renamed.get(value) ?? value.name
  }

  tensor(name: string, dtype: DType, shape: Shape, data: TypedArray): void {
    this.initializers.push({ name, dtype, shape, bytes: bytesOf(data) })
  }

  /** A node; an output that is not named gets one. Returns the name of the first output. */
  node(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    domain: Domain = ""
  ): string {
    this.nodes.push({ name: `${opType}_${this.nodes.length}`, opType, domain, inputs, outputs, attributes })
    return outputs[0]!
  }

  /** A one-dimensional int64 constant: axes, shapes, sizes. */
  ints(values: readonly number[]): string {
    return this.#constant(`ints_${values.join("_")}`, "int64", [values.length], BigInt64Array.from(values, BigInt))
  }

  /** The int64 constant 0, 1 … count - 1. */
  range(count: number): string {
    return this.#constant(
      `range_${count}`,
      "int64",
      [count],
      BigInt64Array.from({ length: count }, (_, i) => BigInt(i))
    )
  }

  /** A scalar constant. */
  scalar(dtype: DType, value: number): string {
    const data = dtype === "int64" ? BigInt64Array.of(BigInt(value)) : new arrayClass[dtype](1).fill(value)
    return this.#constant(`${dtype}_${value}`, dtype, [], data)
  }

  /** A bool constant of one element. */
  constantTrue(): string {
    return this.#constant("true", "bool", [1], Uint8Array.of(1))
  }

  #constant(key: string, dtype: DType, shape: Shape, data: TypedArray): string {
    const known = this.#constants.get(key)
    if (known !== undefined) return known
    // "/" keeps these names apart from those of the graph's own values.
    const name = `const/${key}`
    this.#constants.set(key, name)
    this.tensor(name, dtype, shape, data)
    return name
  }
}

/** A tensor attribute of one element, as ConstantOfShape takes it. */
export const single = (dtype: DType, value: number): OnnxAttribute => {
  const data = dtype === "int64" ? BigInt64Array.of(BigInt(value)) : new arrayClass[dtype](1).fill(value)
  return { kind: "tensor", value: { name: "", dtype, shape: [1], bytes: bytesOf(data) } }
}
