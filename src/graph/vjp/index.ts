// Gradient rules of indexing. Repeated indices add up: ScatterElements with "add" gives the same bits at every thread count on CPU.
import { cast, equal, where } from "../ops/elementwise.ts"
import { gatherElements, scatterElements } from "../ops/index.ts"
import { expand, filled, reshape } from "../ops/shape.ts"
import { sizeOf } from "../Type.ts"
import type { Rule } from "./Rule.ts"

/** y[i] = data[indices[i]] along axis: ddata = zeros with g[i] added at indices[i]; the row paddingIdx gets nothing */
export const gatherRule: Rule<"Gather"> = ({ inputs: [data, indices], attributes: { axis, paddingIdx }, g }) => [
  {
    onto: (base) => {
      const count = sizeOf(indices!.shape)
      const along = data!.shape.map((_, i) => (i === axis ? count : 1))
      const rows = reshape(cast(indices!, "int64"), along)
      const updates = reshape(g, data!.shape.with(axis, count))
      const counted =
        paddingIdx === undefined
          ? updates
          : where(equal(rows, g.graph.constant(paddingIdx, "int64", [])), g.graph.constant(0, g.dtype, []), updates)
      return scatterElements(base, expand(rows, counted.shape), counted, axis, "add")
    }
  },
  undefined
]

/** y[i] = data[indices[i]] element by element: ddata = zeros with g[i] added at indices[i] */
export const gatherElementsRule: Rule<"GatherElements"> = ({ inputs: [, indices], attributes: { axis }, g }) => [
  { onto: (base) => scatterElements(base, indices!, g, axis, "add") },
  undefined
]

/** y = data with updates added (or put) at indices: ddata = g (or g with zeros there), dupdates = g at indices */
export const scatterElementsRule: Rule<"ScatterElements"> = ({ inputs: [, indices, updates], attributes: { axis, reduction }, g }) => [
  () => (reduction === "add" ? g : scatterElements(g, indices!, filled(g.graph, g.dtype, updates!.shape), axis)),
  undefined,
  () => gatherElements(g, indices!, axis)
]
