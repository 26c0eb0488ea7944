// A value is a typed handle on one edge of a graph; a node is one op with its inputs and outputs.
import type { OpName, OpTable } from "./op.ts"
import type { DType, Shape, TypedArray } from "./Type.ts"

/** Result of an op, a graph input or a constant. Its shape is known as soon as it exists. */
export interface Value {
  readonly id: number
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
  readonly graph: GraphBuilder
  /** Data that is part of the model. */
  readonly constant?: true
}

export interface Node<K extends OpName = OpName> {
  readonly op: K
  readonly inputs: readonly Value[]
  readonly attributes: OpTable[K]
  readonly outputs: readonly Value[]
}

/** What op functions and autodiff need of the graph that a value belongs to (the class Graph implements it). */
export interface GraphBuilder {
  readonly nodes: readonly Node[]
  /** The type that products of float32 matrices are computed in; undefined: float32. */
  readonly products?: DType | undefined
  add<K extends OpName>(op: K, inputs: readonly Value[], attributes: OpTable[K]): readonly Value[]
  constant(data: TypedArray | number, dtype: DType, shape: Shape, name?: string): Value
}
