// The train graphs of every family and method as they are lowered for each device: every node has a kernel there, and the numbers are
// those of the CPU's form (all forms run here on the CPU).
import { describe, expect, test } from "vitest"
import { gradients } from "#src/graph/autodiff.ts"
import { Graph } from "#src/graph/Graph.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { placement } from "#src/graph/onnx/placement.ts"
import { mul } from "#src/graph/ops/elementwise.ts"
import { gather } from "#src/graph/ops/index.ts"
import { reduceSum } from "#src/graph/ops/reduce.ts"
import { sizeOf } from "#src/graph/Type.ts"
import { validateModel } from "#src/graph/validate.ts"
import { Session } from "#src/runtime/Session.ts"
import { type CaseOptions, difference, families, type GraphCase, graphCase, methods } from "./cases.ts"

const run = async ({ graph, feeds, outputs }: GraphCase, target: Target) => {
  const session = await Session.create(encode(lower(graph, target)), { threads: 1 })
  const results = await session.run(feeds, outputs)
  await session.release()
  return results
}

const check = async (family: string, method: string, options: CaseOptions = {}): Promise<void> => {
  const made = await graphCase(family, methods[method]!, options)
  const expected = await run(made, "cpu")
  for (const target of ["cuda", "webgpu"] as const) {
    const model = lower(made.graph, target)
    expect(validateModel(model)).toEqual([])
    const missing = placement(model, target).filter(({ place }) => place === "missing")
    expect(missing.map(({ node, type }) => `${target} ${node.opType} ${type}`)).toEqual([])
    expect(difference(expected, await run(made, target)), target).toBeLessThan(1e-5)
  }
}

describe.each(families)("%s", (family) => {
  test.each(Object.keys(methods))("%s", (method) => check(family, method))
})

test("packed rows", () => check("untied", "lora", { packed: true }))
test("packed rows with windows", () => check("mistral", "full", { packed: true }))
test("packed rows with windows, behind a common prefix", () => check("mistral", "full", { packed: true, commonPrefix: 3 }))
test("dropout", () => check("untied", "full", { dropout: true }))
test.each(families)("%s, checkpointed", (family) => check(family, "full", { gradientCheckpointing: true }))
test("checkpointed", () => check("untied", "qlora", { gradientCheckpointing: true }))

test("what is left to the CPU is arithmetic of indices", async () => {
  const { graph } = await graphCase("mistral", methods["lora"]!, { packed: true })
  const placed = placement(lower(graph, "webgpu"), "webgpu")
  const left = placed.filter(({ place }) => place === "index")
  expect(new Set(left.map(({ type }) => type))).toEqual(new Set(["int64"]))
  expect(left.length).toBeLessThan(placed.length / 10)
  expect(placement(lower(graph, "cuda"), "cuda").every(({ place }) => place === "device")).toBe(true)
})

test.each([7, 2048, 4100])(
  "CUDA: %i rows at indices that repeat are added in a fixed order, in parts where they are many",
  async (count) => {
    const graph = new Graph()
    const ids = graph.constant(
      BigInt64Array.from({ length: count }, (_, i) => BigInt((i * 7919) % 5)),
      "int64",
      [count]
    )
    const [data, factors] = [graph.input("data", "float32", [6, 3]), graph.input("factors", "float32", [count, 3])]
    graph.output("gradient", gradients(reduceSum(mul(gather(data, ids), factors)), [data])[0]!)
    const feeds = { data: new Float32Array(18), factors: Float32Array.from({ length: 3 * count }, (_, i) => (i % 11) - 5) }
    const made = { graph, feeds, outputs: ["gradient"] }
    expect(lower(graph, "cuda").nodes.filter(({ opType }) => opType === "Equal")).toHaveLength(count > 2048 ? 4 : 1)
    // Sums of small whole numbers have no rounding.
    expect(await run(made, "cuda")).toEqual(await run(made, "cpu"))
  }
)

test.each([
  { what: "rows", shape: [4, 1, 6, 3], axes: [0, 2], ops: ["Reshape", "Expand", "MatMul", "Reshape"] },
  { what: "rows of one axis", shape: [1, 5, 3], axes: [1], ops: ["Reshape", "Expand", "MatMul", "Reshape"] },
  { what: "all", shape: [30, 200], axes: [0, 1], ops: ["Reshape", "ReduceSum", "ReduceSum", "Reshape"] },
  { what: "all, a prime number of them", shape: [4099], axes: [0], ops: ["Reshape", "Expand", "MatMul", "Reshape"] },
  { what: "few", shape: [16, 8], axes: [0, 1], ops: ["ReduceSum"] },
  { what: "along rows", shape: [4, 300], axes: [1], ops: ["ReduceSum"] },
  { what: "nothing", shape: [4, 1], axes: [1], ops: ["ReduceSum"] }
])("CUDA: a sum of $what is made in a fixed order", async ({ shape, axes, ops }) => {
  for (const keepdims of [false, true]) {
    const graph = new Graph()
    graph.output("y", reduceSum(graph.input("x", "float32", shape), { axes, keepdims }))
    const feeds = { x: Float32Array.from({ length: sizeOf(shape) }, (_, i) => (i % 11) - 5) }
    const made = { graph, feeds, outputs: ["y"] }
    expect(lower(graph, "cuda").nodes.map(({ opType }) => opType)).toEqual(ops)
    // Sums of small whole numbers have no rounding.
    expect(await run(made, "cuda")).toEqual(await run(made, "cpu"))
  }
})
