// What is lowered otherwise for CUDA, whose provider adds in whatever order its threads come where ScatterElements adds rows of the same index, and
// where ReduceSum adds many rows or all there is: the last bits would be others in each run. Products add in a fixed order, and so does a sum
// along rows.
import { type Shape, sizeOf } from "../Type.ts"
import { type Lower, type Lowering, type LowerTable, int, text } from "./Lowering.ts"
import { dataTypes } from "./Model.ts"

/** Rows that are compared with all at a time, at most: what that takes is this times the number of rows. */
const rowsAtATime = 2048

const largestDivisor = (n: number, most: number): number => {
  let divisor = Math.min(n, most)
  while (n % divisor !== 0) divisor--
  return divisor
}

/**
 * Rows that are added at indices which may repeat, in a fixed order: the first row of each index gets the sum of all of them, as a product with
 * the matrix of 1 where two indices are the same, and the others become zeros. One addition is left at each place.
 */
const addRows: Lower<"ScatterElements"> = ({ emit, node, x: [data, indices, updates], y, maker }) => {
  const { shape, dtype } = node.inputs[2]!
  const [count] = shape as [number]
  const ids = maker(node.inputs[1]!)!.inputs[0]!
  const name = (part: string, i?: number): string => `${y[0]}/${part}${i === undefined ? "" : `/${i}`}`
  const one = (op: string, inputs: readonly string[], output: string, attributes = {}): string =>
    emit.node(op, inputs, [output], attributes)
  const cast = { to: int(dataTypes[dtype]) }
  const column = one("Reshape", [emit.nameOf(ids), emit.ints([count, 1])], name("column"))
  const row = one("Reshape", [emit.nameOf(ids), emit.ints([1, count])], name("row"))
  const flat = one("Reshape", [updates!, emit.ints([count, sizeOf(shape) / count])], name("flat"))
  const before = emit.range(count)
  const places = one("Reshape", [before, emit.ints([count, 1])], name("places"))
  const size = largestDivisor(count, rowsAtATime)
  const sums = Array.from({ length: count / size }, (_, i) => {
    const part = (all: string, what: string): string =>
      size === count ? all : one("Slice", [all, ...[i * size, (i + 1) * size, 0].map((at) => emit.ints([at]))], name(what, i))
    const same = one("Equal", [part(column, "ids"), row], name("same", i))
    const sum = one("MatMul", [one("Cast", [same], name("matrix", i), cast), flat], name("sum", i))
    const earlier = one("And", [same, one("Greater", [part(places, "at"), before], name("behind", i))], name("earlier", i))
    const repeats = one("ReduceMax", [one("Cast", [earlier], name("repeats", i), cast), emit.ints([1])], name("repeated", i), {
      keepdims: int(1)
    })
    const isFirst = one("Less", [repeats, emit.scalar(dtype, 0.5)], name("first", i))
    return one("Where", [isFirst, sum, emit.scalar(dtype, 0)], name("kept", i))
  })
  const all = sums.length === 1 ? sums[0]! : one("Concat", sums, name("all"), { axis: int(0) })
  const rows = one("Reshape", [all, emit.ints(shape)], name("rows"))
  emit.node("ScatterElements", [data!, indices!, rows], y, { axis: int(0), reduction: text("add") })
}

/** The sum of all rows as a product with a row of ones. */
const sumRows = ({ emit, node, x, y }: Lowering<"ReduceSum">, rows: number): void => {
  const { shape, dtype } = node.inputs[0]!
  const flat = emit.node("Reshape", [x[0]!, emit.ints([rows, sizeOf(shape) / rows])], [`${y[0]}/flat`])
  const ones = emit.node("Expand", [emit.scalar(dtype, 1), emit.ints([1, rows])], [`${y[0]}/ones`])
  const sum = emit.node("MatMul", [ones, flat], [`${y[0]}/sum`])
  emit.node("Reshape", [sum, emit.ints(node.outputs[0]!.shape)], y)
}

/** Values that one block of threads adds, in a fixed order. */
const addedByOneBlock = 2048

/** The sum of everything: along rows, then of what that gave. */
const sumAll = ({ emit, node, x, y }: Lowering<"ReduceSum">, rows: number): void => {
  const count = sizeOf(node.inputs[0]!.shape)
  const matrix = emit.node("Reshape", [x[0]!, emit.ints([rows, count / rows])], [`${y[0]}/matrix`])
  const sums = emit.node("ReduceSum", [matrix, emit.ints([1])], [`${y[0]}/sums`], { keepdims: int(0) })
  const sum = emit.node("ReduceSum", [sums, emit.ints([0])], [`${y[0]}/sum`], { keepdims: int(0) })
  emit.node("Reshape", [sum, emit.ints(node.outputs[0]!.shape)], y)
}

/** How many rows a sum over these axes adds, where all that it adds over comes before all that it keeps; else 0. */
const rowsAdded = (shape: Shape, axes: readonly number[]): number => {
  const longer = shape.flatMap((size, axis) => (size === 1 ? [] : [{ size, isAdded: axes.includes(axis) }]))
  const added = longer.findLastIndex(({ isAdded }) => isAdded) + 1
  return longer.slice(0, added).every(({ isAdded }) => isAdded) ? sizeOf(longer.slice(0, added).map(({ size }) => size)) : 0
}

const inFixedOrder = (lowering: Lowering<"ReduceSum">, usual: Lower<"ReduceSum">): void => {
  const { shape, dtype } = lowering.node.inputs[0]!
  const rows = rowsAdded(shape, lowering.attributes.axes)
  const isAll = rows === sizeOf(shape)
  const parts = isAll ? largestDivisor(rows, addedByOneBlock) : 1
  if (rows <= (isAll ? addedByOneBlock : 1) || !/float/.test(dtype)) usual(lowering)
  else if (parts > 1) sumAll(lowering, parts)
  else sumRows(lowering, rows)
}

/** The usual table with CUDA's own entries. */
export const forCuda = (usual: LowerTable): LowerTable => ({
  ...usual,
  ReduceSum: (lowering) => inFixedOrder(lowering, usual.ReduceSum),
  ScatterElements: (lowering) => {
    const { node, attributes, maker } = lowering
    const rows = maker(node.inputs[1]!)
    const isRows = rows?.op === "Expand" && rows.inputs[0]!.shape.every((size, axis) => axis === 0 || size === 1)
    if (attributes.reduction === "add" && attributes.axis === 0 && isRows) addRows(lowering)
    else usual.ScatterElements(lowering)
  }
})
