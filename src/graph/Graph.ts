// The graph under construction: inputs, constants, nodes in the order in which they were called, outputs.
import { GraphError } from "./GraphError.ts"
import { inferTypes } from "./infer.ts"
import type { OpName, OpTable } from "./op.ts"
import { arrayClass, sizeOf } from "./Type.ts"
import type { DType, Shape, Type, TypedArray } from "./Type.ts"
import type { GraphBuilder, Node, Value } from "./Value.ts"

export interface Initializer {
  readonly value: Value
  readonly data: TypedArray
}

/** Bytes of a file that hold a tensor's elements, little-endian and row-major. */
export interface FileSlice {
  /** Of the file; all files of one graph lie in the same. */
  readonly folder: string
  /** Name of the file. */
  readonly file: string
  readonly offset: number
  readonly bytes: number
}

/** A tensor that the runtime maps from a file. */
export interface External {
  readonly value: Value
  readonly slice: FileSlice
}

export interface Output {
  readonly name: string
  readonly value: Value
}

/** `data` filled with one number; float16 and bfloat16 hold only 0 here (no user needs another). */
const filled = (number: number, dtype: DType, size: number): TypedArray => {
  if (dtype === "int64") return new BigInt64Array(size).fill(BigInt(number))
  if ((dtype === "float16" || dtype === "bfloat16") && number !== 0) {
    throw new GraphError("constant", [], `a ${dtype} constant needs its bits as a Uint16Array`)
  }
  return new arrayClass[dtype](size).fill(number)
}

export class Graph implements GraphBuilder {
  readonly #nodes: Node[] = []
  readonly #inputs: Value[] = []
  readonly #outputs: Output[] = []
  readonly #initializers: Initializer[] = []
  readonly #externals: External[] = []
  readonly #names = new Set<string>()
  readonly #scalars = new Map<string, Value>()
  #ids = 0
  readonly products: DType | undefined

  /** `products`: see GraphBuilder. */
  constructor({ products }: Pick<GraphBuilder, "products"> = {}) {
    this.products = products
  }

  get nodes(): readonly Node[] {
    return this.#nodes
  }
  get inputs(): readonly Value[] {
    return this.#inputs
  }
  get outputs(): readonly Output[] {
    return this.#outputs
  }
  get initializers(): readonly Initializer[] {
    return this.#initializers
  }

  get externals(): readonly External[] {
    return this.#externals
  }
  /** The folder of all externals' files; undefined where there are none. */
  get folder(): string | undefined {
    return this.#externals[0]?.slice.folder
  }

  /** Elements that stay in a file: the runtime maps them into memory instead of copying them. */
  external(name: string, dtype: DType, shape: Shape, slice: FileSlice): Value {
    if (this.folder !== undefined && this.folder !== slice.folder) {
      throw new GraphError("external", [shape], `${name} lies in ${slice.folder}, other tensors in ${this.folder}`)
    }
    const value = this.#value(name, { dtype, shape })
    this.#externals.push({ value, slice })
    return value
  }

  /** A value that every run is fed with, under this name. */
  input(name: string, dtype: DType, shape: Shape): Value {
    const value = this.#value(name, { dtype, shape })
    this.#inputs.push(value)
    return value
  }

  /** Data that is part of the model; a number fills the shape. Equal scalars share one constant. */
  constant(data: TypedArray | number, dtype: DType, shape: Shape, name?: string): Value {
    const key = typeof data === "number" && name === undefined ? `${data} ${dtype} ${shape.join()}` : undefined
    const known = key === undefined ? undefined : this.#scalars.get(key)
    if (known !== undefined) return known
    const array = typeof data === "number" ? filled(data, dtype, sizeOf(shape)) : data
    if (!(array instanceof arrayClass[dtype]) || array.length !== sizeOf(shape)) {
      throw new GraphError("constant", [shape], `${array.constructor.name} of ${array.length} elements is no ${dtype} of this shape`)
    }
    const value: Value = { ...this.#value(name ?? `constant_${this.#ids}`, { dtype, shape }), constant: true }
    this.#initializers.push({ value, data: array })
    if (key !== undefined) this.#scalars.set(key, value)
    return value
  }

  /** Names a result that a run can fetch. */
  output(name: string, value: Value): void {
    if (value.graph !== this) throw new GraphError("output", [value.shape], `${value.name} belongs to another graph`)
    if (this.#names.has(name)) {
      throw new GraphError("output", [value.shape], `the name ${name} is taken`)
    }
    this.#names.add(name)
    this.#outputs.push({ name, value })
  }

  /** Appends a node; throws GraphError when the op does not take these inputs. The functions in ops/ are the way to call it. */
  add<K extends OpName>(op: K, inputs: readonly Value[], attributes: OpTable[K]): readonly Value[] {
    const shapes = inputs.map((input) => input.shape)
    const stranger = inputs.find((input) => input.graph !== this)
    if (stranger !== undefined) throw new GraphError(op, shapes, `${stranger.name} belongs to another graph`)
    const types = inferTypes(op, inputs, attributes)
    const id = this.#ids
    const outputs = types.map((type, i) => this.#value(i === 0 ? `${op}_${id}` : `${op}_${id}_${i}`, type))
    this.#nodes.push({ op, inputs, attributes, outputs } as Node)
    return outputs
  }

  #value(name: string, type: Type): Value {
    if (name === "" || this.#names.has(name)) throw new GraphError("input", [type.shape], `the name "${name}" is empty or taken`)
    if (!type.shape.every((dim) => Number.isInteger(dim) && dim >= 0)) {
      throw new GraphError(name, [type.shape], "a shape needs whole dimensions")
    }
    this.#names.add(name)
    return { id: this.#ids++, name, dtype: type.dtype, shape: [...type.shape], graph: this }
  }
}
