// Outputs that are copies of what lies under them are made in the caller's array at once, and have the same elements.
import { describe, expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { underneath, withUnderneath } from "#src/graph/onnx/underneath.ts"
import { add, exp } from "#src/graph/ops/elementwise.ts"
import { scatterElements } from "#src/graph/ops/index.ts"
import { reshape, slice } from "#src/graph/ops/shape.ts"
import type { Value } from "#src/graph/Value.ts"
import { Session } from "#src/runtime/Session.ts"
import { ids } from "./checkGrads.ts"

type Build = (graph: Graph, base: Value, updates: Value) => Value

/** y: e^x [4], [2, 2] or so, with `updates` [2] added at 2 and 0. */
const build = (of: Build): Graph => {
  const graph = new Graph()
  graph.output("y", of(graph, exp(graph.input("x", "float32", [4])), graph.input("updates", "float32", [2])))
  return graph
}
const scattered = (base: Value, updates: Value): Value => scatterElements(base, ids(base.graph as Graph, [2, 0]), updates, 0, "add")

const cases: Readonly<Record<string, readonly [Build, readonly string[]]>> = {
  "a scatter's base": [(_, base, updates) => scattered(base, updates), [underneath("y")]],
  "under a new shape the scattered values, under these their base": [
    (_, base, updates) => reshape(scattered(base, updates), [2, 2]),
    [underneath("y"), underneath(underneath("y"))]
  ],
  "a base that the updates are made of": [(_, base, updates) => scattered(base, add(updates, slice(base, 0, 1, 3))), [underneath("y")]],
  "not one that others read too": [
    (graph, base, updates) => {
      graph.output("base plus one", add(base, graph.constant(1, "float32", [])))
      return scattered(base, updates)
    },
    []
  ],
  "not one that has another name, under which it is read after the scatter": [
    (graph, base, updates) => {
      const named = reshape(base, [2, 2])
      const result = scattered(base, add(updates, reshape(slice(named, 0, 0, 1), [2])))
      graph.output("later", add(named, reshape(result, [2, 2])))
      return result
    },
    []
  ],
  "not one that is an output itself": [
    (graph, base, updates) => {
      graph.output("base", base)
      return scattered(base, updates)
    },
    []
  ],
  "not an input": [(graph, _, updates) => scattered(graph.input("z", "float32", [4]), updates), []]
}

describe("underneath", () => {
  test.each(Object.entries(cases))("%s", async (_, [of, expected]) => {
    const model = lower(build(of))
    const names = model.outputs.map(({ name }) => name)
    expect(withUnderneath(model).outputs.map(({ name }) => name)).toEqual([...names, ...expected])
    const feeds = { x: Float32Array.of(1, -1, 0.5, 2), updates: Float32Array.of(10, 20), z: Float32Array.of(4, 3, 2, 1) }
    const given = Object.fromEntries(model.inputs.map(({ name }) => [name, feeds[name as keyof typeof feeds]]))
    const run = async (fills: boolean): Promise<readonly (readonly number[])[]> => {
      const session = await Session.create(encode(model, { fills }), { threads: 1 })
      const arrays = Object.fromEntries(model.outputs.map(({ name, shape }) => [name, new Float32Array(shape.reduce((a, b) => a * b, 1))]))
      await session.run(given, arrays)
      await session.run(given, arrays)
      await session.release()
      return names.map((name) => [...arrays[name]!])
    }
    expect(await run(true)).toEqual(await run(false))
  })
})
