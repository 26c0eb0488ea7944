// What an entry of the lowering tables gets and gives, and the attributes that it writes.
import type { OpName, OpTable } from "../op.ts"
import type { Node, Value } from "../Value.ts"
import type { Emitter } from "./Emitter.ts"
import type { OnnxAttribute } from "./Model.ts"

/** The kind of device that a graph is lowered for: each has kernels of its own. */
export type Target = "cpu" | "cuda" | "webgpu"

export interface Lowering<K extends OpName> {
  readonly emit: Emitter
  readonly node: Node<K>
  readonly attributes: OpTable[K]
  /** Names of the node's inputs and outputs. */
  readonly x: readonly string[]
  readonly y: readonly string[]
  /** The node that makes a value; undefined for inputs and constants. */
  readonly maker: (value: Value) => Node | undefined
}
export type Lower<K extends OpName> = (lowering: Lowering<K>) => void
export type LowerTable = { readonly [K in OpName]: Lower<K> }

export const int = (value: number | boolean): OnnxAttribute => ({ kind: "int", value: Number(value) })
export const ints = (value: readonly number[]): OnnxAttribute => ({ kind: "ints", value })
/** As the file holds it: 32 bits. */
export const float = (value: number): OnnxAttribute => ({ kind: "float", value: Math.fround(value) })
export const text = (value: string): OnnxAttribute => ({ kind: "string", value })
