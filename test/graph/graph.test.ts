// Building graphs: errors at the call, constants, names, text print, invariants.
import { describe, expect, test } from "vitest"
import { gradients } from "#src/graph/autodiff.ts"
import { Graph } from "#src/graph/Graph.ts"
import { GraphError } from "#src/graph/GraphError.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { add, cast, equal, exp, mul, scale } from "#src/graph/ops/elementwise.ts"
import { gather, scatterElements } from "#src/graph/ops/index.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { layerNorm, rmsNorm, rotaryEmbedding } from "#src/graph/ops/nn.ts"
import { reduceSum } from "#src/graph/ops/reduce.ts"
import { concat, expand, reshape, slice, split, transpose } from "#src/graph/ops/shape.ts"
import { printGraph } from "#src/graph/print.ts"
import { validate, validateModel } from "#src/graph/validate.ts"
import { runGraph } from "./runGraph.ts"

describe("errors at the author's line", () => {
  const graph = new Graph()
  const a = graph.input("a", "float32", [4, 128, 64])
  const b = graph.input("b", "float32", [96, 64])
  const ids = graph.input("i", "int64", [3])
  const wide = graph.input("wide", "float64", [64])

  test.each([
    [() => matMul(a, b), "shape mismatch in MatMul: [4,128,64] x [96,64] (inner dimensions 64 and 96)"],
    [() => matMul(a, b, { transA: true }), "shape mismatch in MatMul: [4,128,64] x [96,64] (inner dimensions 128 and 96, transA)"],
    [() => add(a, b), "shape mismatch in Add: [4,128,64] x [96,64] (dimensions must be equal or 1, counted from the end)"],
    [() => mul(a, wide), "mixed types float32 and float64 in Mul: [4,128,64] x [64] (cast one of them first)"],
    [() => exp(ids), "int64 instead of a float type in Exp: [3] (cast it first)"],
    [() => gather(b, cast(ids, "uint8")), 'uint8 instead of int64 in Gather: [96,64] x [3] (cast(x, "int64"))'],
    [() => gather(b, ids, { axis: 2 }), "axis 2 of rank 2 does not exist in Gather: [96,64] x [3]"],
    [() => reshape(b, [5, -1]), "a shape needs whole dimensions"],
    [() => reshape(b, [5, 5]), "6144 elements do not fit [5,5] in Reshape: [96,64]"],
    [() => expand(b, [95, 64]), "does not expand to [95,64] in Expand: [96,64]"],
    [() => transpose(b, [0, 2]), "[0,2] is no permutation of the axes in Transpose: [96,64]"],
    [() => concat([a, b], 0), "shape mismatch in Concat: [4,128,64] x [96,64] (all dimensions but axis 0 must be equal)"],
    [() => concat([], 0), "nothing to concatenate in Concat"],
    [() => split(b, [1, 2], 0), "sizes [1,2] do not add up to 96 in Split: [96,64]"],
    [() => slice(b, 1, 60, 65), "60..65 is not inside axis 1 in Slice: [96,64]"],
    [() => reduceSum(b, { axes: [2] }), "axis 2 of rank 2 does not exist in ReduceSum: [96,64]"],
    [() => scatterElements(b, ids, b, 0), "shape mismatch in ScatterElements"],
    [() => rmsNorm(a, b, 1e-5), "shape mismatch in SimplifiedLayerNormalization: [4,128,64] x [96,64]"],
    [() => layerNorm(a, b, b, 1e-5), "shape mismatch in LayerNormalization: [4,128,64] x [96,64] x [96,64]"],
    [() => rotaryEmbedding(a, ids, b, b), "shape mismatch in RotaryEmbedding"],
    [() => graph.input("a", "float32", [1]), 'the name "a" is empty or taken'],
    [() => graph.output("b", a), "the name b is taken"],
    [() => graph.constant(new Float32Array(2), "float64", [2]), "Float32Array of 2 elements is no float64"],
    [() => add(a, new Graph().input("z", "float32", [1])), "z belongs to another graph in Add"],
    [() => gradients(b, [a]), "b is no float scalar in gradients: [96,64] (reduceSum it)"],
    [() => gradients(reduceSum(b), [a]), "does not depend on a in gradients"]
  ])("%#: %s", (build, message) => {
    expect(build).toThrow(GraphError)
    expect(build).toThrow(message)
  })

  test("the error carries op, shapes and hint", () => {
    const found = (() => {
      try {
        return matMul(a, b)
      } catch (u) {
        return u as GraphError
      }
    })()
    const shapes = [
      [4, 128, 64],
      [96, 64]
    ]
    expect(found).toMatchObject({ op: "MatMul", shapes, hint: "inner dimensions 64 and 96" })
  })
})

test("equal scalars share one constant, and constants that nobody reads are not written", () => {
  const graph = new Graph()
  const x = graph.input("x", "float32", [2])
  graph.constant(3, "float32", [])
  graph.output("y", add(scale(x, 2), scale(x, 2)))
  expect(graph.initializers.length).toBe(2)
  expect(lower(graph).initializers.length).toBe(1)
})

test("an output may be an input, a constant, or one value under two names", async () => {
  const graph = new Graph()
  const x = graph.input("x", "float32", [2])
  const y = exp(x)
  graph.output("copy", x)
  graph.output("seven", graph.constant(7, "float32", [2]))
  graph.output("y", y)
  graph.output("again", y)
  const found = await runGraph(graph, { x: Float32Array.of(0, 1) })
  const e = Float32Array.of(1, Math.E)
  expect(found).toEqual({ copy: Float32Array.of(0, 1), seven: Float32Array.of(7, 7), y: e, again: e })
})

test("frozen values cost no gradient work", () => {
  const graph = new Graph()
  const [x, frozen, adapter] = ["x", "frozen", "adapter"].map((name) => graph.input(name, "float32", [4, 4]))
  const below = matMul(x!, frozen!)
  const loss = reduceSum(matMul(below, adapter!))
  const before = graph.nodes.length
  const [g] = gradients(loss, [adapter!])
  // Only dW of the adapter: neither its dX nor anything below is computed.
  expect(graph.nodes.slice(before).filter((node) => node.op === "MatMul")).toHaveLength(1)
  expect(g!.shape).toEqual([4, 4])
})

test("the row of paddingIdx gets no gradient", async () => {
  const graph = new Graph()
  const table = graph.input("table", "float32", [3, 2])
  const ids = graph.constant(BigInt64Array.of(1n, 0n, 2n, 0n, 1n), "int64", [5])
  graph.output("g", gradients(reduceSum(gather(table, ids, { paddingIdx: 0 })), [table])[0]!)
  const { g } = await runGraph(graph, { table: new Float32Array(6) })
  expect(g).toEqual(Float32Array.of(0, 0, 2, 2, 1, 1))
})

test("a graph prints as text", () => {
  const graph = new Graph()
  const x = graph.input("x", "float32", [2, 3])
  graph.output("sum", reduceSum(scale(x, 0.5), { axes: [1] }))
  expect(printGraph(graph)).toBe(
    [
      "input x: float32 [2,3]",
      "constant constant_1: float32 [] = 0.5",
      "Mul_2: float32 [2,3] = Mul(x, constant_1)",
      "ReduceSum_3: float32 [2] = ReduceSum(Mul_2) axes=[1] keepdims=false",
      "output sum = ReduceSum_3",
      ""
    ].join("\n")
  )
})

describe("validate", () => {
  const graph = new Graph()
  const x = graph.input("x", "float32", [2, 3])
  const y = exp(x)
  graph.output("y", mul(y, cast(equal(x, y), "float32")))
  const model = lower(graph)

  test("finds nothing in a good graph", () => expect(validate(graph)).toEqual([]))

  test("finds a node that reads what does not exist yet", () => {
    expect(validateModel({ ...model, nodes: model.nodes.toReversed() })).toContainEqual(expect.stringContaining("before it exists"))
  })

  test("finds a dead node, a name used twice, an unknown opset and a missing output", () => {
    const first = model.nodes[0]!
    expect(validateModel({ ...model, nodes: [...model.nodes, { ...first, name: "dead", outputs: ["z"] }] })).toEqual(["node dead is dead"])
    expect(validateModel({ ...model, nodes: [...model.nodes, { ...first, name: "twice" }] })).toEqual([
      `two values are called ${first.outputs[0]}`
    ])
    expect(validateModel({ ...model, opsets: { "": 17 } })).toContain(`node ${first.name} needs domain ""`)
    expect(validateModel({ ...model, outputs: [{ name: "no", dtype: "float32", shape: [1] }] })).toContain("output no is made by no node")
  })

  test("finds a shape that inference does not give", () => {
    const node = graph.nodes[0]!
    const wrong = {
      inputs: graph.inputs,
      initializers: [],
      externals: [],
      outputs: [],
      nodes: [{ ...node, outputs: [{ ...y, shape: [3, 2] }] }]
    }
    expect(validate(wrong as unknown as Graph)).toContain("Exp_1 is float32 [3,2] instead of float32 [2,3]")
  })
})
