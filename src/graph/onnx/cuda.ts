// What is lowered otherwise for CUDA. Its ScatterElements adds rows of the same index in whatever order they come: the last bits of the gradient
// of a token that occurs twice would be others in each run.
import { sizeOf } from "../Type.ts"
import { type Lower, type LowerTable, int, text } from "./Lowering.ts"
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

/** The usual table with CUDA's own entries. */
export const forCuda = (usual: LowerTable): LowerTable => ({
  ...usual,
  ScatterElements: (lowering) => {
    const { node, attributes, maker } = lowering
    const rows = maker(node.inputs[1]!)
    const isRows = rows?.op === "Expand" && rows.inputs[0]!.shape.every((size, axis) => axis === 0 || size === 1)
    if (attributes.reduction === "add" && attributes.axis === 0 && isRows) addRows(lowering)
    else usual.ScatterElements(lowering)
  }
})
