// Element types and shapes of all values of an ONNX model, from its inputs, initializers and nodes: what a lowering adds to a graph's own
// values is covered too. Knows the ops that the lowering tables emit.
import { GraphError } from "../GraphError.ts"
import { broadcast, normalAxis, sizeOf } from "../Type.ts"
import type { DType, Shape, Type } from "../Type.ts"
import { dataTypes, type OnnxModel, type OnnxNode, type OnnxTensor } from "./Model.ts"

/** What a rule sees of a node. */
interface Call {
  readonly node: OnnxNode
  readonly x: readonly Type[]
  /** Attributes by name. */
  readonly int: (name: string, otherwise?: number) => number
  readonly ints: (name: string) => readonly number[]
  /** Numbers of an input that is a constant: axes, a shape, sizes. */
  readonly numbers: (input: number) => readonly number[]
  readonly fail: (hint: string) => never
}
type Rule = (call: Call) => readonly Type[]

const dtypes = new Map(Object.entries(dataTypes).map(([name, code]) => [code as number, name as DType]))

const same: Rule = ({ x }) => [x[0]!]

/** numpy's broadcasting of the inputs from `from` on. */
const spread = ({ x, fail }: Call, from = 0): Shape =>
  x.slice(from).reduce<Shape>((shape, type) => broadcast(shape, type.shape) ?? fail("shapes that do not broadcast"), [])

const elementwise: Rule = (call) => [{ dtype: call.x[0]!.dtype, shape: spread(call) }]
const comparison: Rule = (call) => [{ dtype: "bool", shape: spread(call) }]

const axisOf = ({ fail }: Call, axis: number, rank: number): number => normalAxis(axis, rank) ?? fail(`axis ${axis} of ${rank}`)
const axesOf = (call: Call, axes: readonly number[], rank: number): ReadonlySet<number> =>
  new Set(axes.map((axis) => axisOf(call, axis, rank)))

const product: Rule = (call) => {
  const [first, b] = call.x as [Type, Type]
  const [rows, ...inner] = first.shape
  // The first dimension goes behind those of the batch.
  const a = call.int("transBatchA", 0) === 0 ? first : { ...first, shape: [...inner.slice(0, -1), rows!, inner.at(-1)!] }
  const matrix = ({ shape }: Type, transposed: boolean) => {
    const [rows, columns] = shape.slice(-2) as [number, number]
    return transposed ? [columns, rows] : [rows, columns]
  }
  const [[m, k], [l, n]] = [matrix(a, call.int("transA", 0) === 1), matrix(b, call.int("transB", 0) === 1)] as [number[], number[]]
  if (k !== l) call.fail(`${k} columns times ${l} rows`)
  const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)) ?? call.fail("batches that do not broadcast")
  return [{ dtype: a.dtype, shape: [...batch, m!, n!] }]
}

const reduce: Rule = (call) => {
  const { dtype, shape } = call.x[0]!
  const axes = call.x[1] === undefined ? new Set(shape.keys()) : axesOf(call, call.numbers(1), shape.length)
  const keep = call.int("keepdims", 1) === 1
  return [{ dtype, shape: shape.flatMap((dim, axis) => (axes.has(axis) ? (keep ? [1] : []) : [dim])) }]
}

const reshape: Rule = (call) => {
  const { dtype, shape } = call.x[0]!
  const asked = call.numbers(1).map((dim, i) => (dim === 0 ? shape[i]! : dim))
  const known = asked.filter((dim) => dim >= 0).reduce((all, dim) => all * dim, 1)
  const found = asked.map((dim) => (dim < 0 ? sizeOf(shape) / known : dim))
  return sizeOf(found) === sizeOf(shape) ? [{ dtype, shape: found }] : call.fail(`a new shape of ${sizeOf(found)} elements`)
}

const slice: Rule = (call) => {
  const { dtype, shape } = call.x[0]!
  const [starts, ends] = [call.numbers(1), call.numbers(2)]
  const axes = call.x[3] === undefined ? starts.map((_, i) => i) : call.numbers(3)
  const out = [...shape]
  axes.forEach((each, i) => {
    const axis = axisOf(call, each, shape.length)
    const dim = shape[axis]!
    const place = (at: number): number => Math.min(dim, Math.max(0, at < 0 ? at + dim : at))
    out[axis] = Math.max(0, place(ends[i]!) - place(starts[i]!))
  })
  return [{ dtype, shape: out }]
}

const concat: Rule = (call) => {
  const { dtype, shape } = call.x[0]!
  const axis = axisOf(call, call.int("axis"), shape.length)
  const joined = call.x.reduce((sum, type) => sum + type.shape[axis]!, 0)
  return [{ dtype, shape: shape.with(axis, joined) }]
}

const split: Rule = (call) => {
  const { dtype, shape } = call.x[0]!
  const axis = axisOf(call, call.int("axis", 0), shape.length)
  return call.numbers(1).map((size) => ({ dtype, shape: shape.with(axis, size) }))
}

const gather: Rule = (call) => {
  const [{ dtype, shape }, indices] = call.x as [Type, Type]
  const axis = axisOf(call, call.int("axis", 0), shape.length)
  return [{ dtype, shape: [...shape.slice(0, axis), ...indices.shape, ...shape.slice(axis + 1)] }]
}

/** y, and what is kept of each row, float32 whatever x is. */
const norm: Rule = (call) => {
  const x = call.x[0]!
  const axis = axisOf(call, call.int("axis", -1), x.shape.length)
  const row: Type = { dtype: "float32", shape: x.shape.map((dim, i) => (i < axis ? dim : 1)) }
  return [x, row, row]
}

const rules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(["Add", "Sub", "Mul", "Div"].map((op) => [op, elementwise])),
  ...Object.fromEntries(["Equal", "Less", "Greater", "And"].map((op) => [op, comparison])),
  ...Object.fromEntries(["Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Sigmoid", "Tanh", "Erf", "Identity"].map((op) => [op, same])),
  ...Object.fromEntries(["Softmax", "LogSoftmax", "ScatterElements"].map((op) => [op, same])),
  ...Object.fromEntries(["QuickGelu", "Gelu", "FastGelu", "RotaryEmbedding"].map((op) => [`com.microsoft.${op}`, same])),
  Where: (call) => [{ dtype: call.x[1]!.dtype, shape: spread(call) }],
  Cast: ({ x, int, fail }) => [{ dtype: dtypes.get(int("to")) ?? fail("an unknown element type"), shape: x[0]!.shape }],
  MatMul: product,
  Gemm: product,
  "com.microsoft.FusedMatMul": product,
  "com.microsoft.MatMulBnb4": ({ x, int }) => [{ dtype: x[0]!.dtype, shape: x[0]!.shape.with(-1, int("N")) }],
  ReduceSum: reduce,
  ReduceMean: reduce,
  ReduceMax: reduce,
  Reshape: reshape,
  Slice: slice,
  Concat: concat,
  Split: split,
  Gather: gather,
  GatherElements: ({ x }) => [{ dtype: x[0]!.dtype, shape: x[1]!.shape }],
  Transpose: ({ x, ints }) => [{ dtype: x[0]!.dtype, shape: ints("perm").map((axis) => x[0]!.shape[axis]!) }],
  Expand: (call) => {
    const { dtype, shape } = call.x[0]!
    return [{ dtype, shape: broadcast(shape, call.numbers(1)) ?? call.fail("a shape that it does not broadcast to") }]
  },
  Unsqueeze: (call) => {
    const { dtype, shape } = call.x[0]!
    const axes = axesOf(call, call.numbers(1), shape.length + call.numbers(1).length)
    const rest = [...shape]
    return [{ dtype, shape: Array.from({ length: shape.length + axes.size }, (_, axis) => (axes.has(axis) ? 1 : rest.shift()!)) }]
  },
  Squeeze: (call) => {
    const { dtype, shape } = call.x[0]!
    const axes = axesOf(call, call.numbers(1), shape.length)
    return [{ dtype, shape: shape.filter((_, axis) => !axes.has(axis)) }]
  },
  ConstantOfShape: ({ node, numbers }) => {
    const { value } = node.attributes
    return [{ dtype: value?.kind === "tensor" ? value.value.dtype : "float32", shape: numbers(0) }]
  },
  SimplifiedLayerNormalization: norm,
  LayerNormalization: norm
}

const numbersOf = ({ bytes }: OnnxTensor): readonly number[] =>
  Array.from(new BigInt64Array(bytes.slice().buffer, 0, bytes.length / 8), Number)

/** Types of all values by name. @throws GraphError for an op without a rule, or inputs that it does not take */
export const typesOf = (model: OnnxModel): ReadonlyMap<string, Type> => {
  const constants = new Map(model.initializers.map((tensor) => [tensor.name, tensor]))
  const types = new Map<string, Type>([...model.inputs, ...model.initializers].map(({ name, dtype, shape }) => [name, { dtype, shape }]))
  for (const node of model.nodes) {
    const { opType, domain, attributes } = node
    const op = domain === "" ? opType : `${domain}.${opType}`
    const x = node.inputs.map((name) => types.get(name))
    const fail = (hint: string): never => {
      throw new GraphError(
        `${op} ${node.name}`,
        x.flatMap((type) => (type === undefined ? [] : [type.shape])),
        hint
      )
    }
    const rule = rules[op] ?? fail("this op's shapes are not known (onnx/types.ts)")
    const lost = node.inputs.find((name) => name !== "" && !types.has(name))
    if (lost !== undefined) fail(`it reads ${lost} before that exists`)
    const found = rule({
      node,
      x: x as readonly Type[],
      fail,
      int: (name, otherwise) => {
        const value = attributes[name]
        return value?.kind === "int" ? value.value : (otherwise ?? fail(`it has no ${name}`))
      },
      ints: (name) => {
        const value = attributes[name]
        return value?.kind === "ints" ? value.value : fail(`it has no ${name}`)
      },
      numbers: (input) => {
        const tensor = constants.get(node.inputs[input] ?? "")
        return tensor?.dtype === "int64" ? numbersOf(tensor) : fail(`its input ${input} is no constant`)
      }
    })
    node.outputs.forEach((name, i) => name !== "" && types.set(name, found[i] ?? fail(`it has no output ${i}`)))
  }
  return types
}
