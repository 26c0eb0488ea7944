// Matrix products in 16 bits, as CUDA computes them: every node has a kernel there, and float16, which the CPU can run too, is near float32.
// (bfloat16 products have no kernel on the CPU.)
import { describe, expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { placement } from "#src/graph/onnx/placement.ts"
import { cast } from "#src/graph/ops/elementwise.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { Session } from "#src/runtime/Session.ts"
import { difference, families, type GraphCase, graphCase, methods } from "./cases.ts"
import { train } from "./train.ts"

const run = async ({ graph, feeds, outputs }: GraphCase) => {
  const session = await Session.create(encode(lower(graph, "cuda")), { threads: 1 })
  const results = await session.run(feeds, outputs)
  await session.release()
  return results
}

const products: ReadonlySet<string> = new Set(["MatMul", "FusedMatMul", "Gemm", "MatMulBnb4"])

describe.each(families)("%s", (family) => {
  test.each(Object.keys(methods))("%s: kernels for both types, and float16's numbers", async (method) => {
    for (const type of ["float16", "bfloat16"] as const) {
      const { graph } = await graphCase(family, methods[method]!, { products: type })
      const placed = placement(lower(graph, "cuda"), "cuda")
      expect(placed.filter(({ place }) => place !== "device").map(({ node, type }) => `${node.opType} ${type}`)).toEqual([])
      expect(new Set(placed.flatMap(({ node, type }) => (products.has(node.opType) ? [type] : [])))).toEqual(new Set([type]))
    }
    const [exact, half] = await Promise.all([
      graphCase(family, methods[method]!).then(run),
      graphCase(family, methods[method]!, { products: "float16" }).then(run)
    ])
    expect(difference(exact, half)).toBeLessThan(0.02)
  })
})

test("a 16-bit weight goes into a product as it is stored", () => {
  const graph = new Graph({ products: "bfloat16" })
  const weight = graph.input("w", "bfloat16", [4, 4])
  graph.output("y", matMul(graph.input("x", "float32", [2, 4]), cast(weight, "float32")))
  const { nodes } = lower(graph, "cuda")
  const [product] = nodes.filter(({ opType }) => opType === "MatMul")
  expect(nodes.find(({ outputs }) => outputs[0] === product!.inputs[1])).toMatchObject({ opType: "Identity", inputs: ["w"] })
  expect(nodes.filter(({ opType, inputs }) => opType === "Cast" && inputs[0] === "w")).toEqual([])
})

test("float16 over a scaled loss trains as float32 does", async () => {
  const run = { family: "untied", method: methods["lora"]!, device: "cpu", steps: 6 } as const
  const [exact, half] = [await train(run), await train({ ...run, products: "float16" })]
  const made = half.values.filter(({ gradNorm }) => gradNorm !== null)
  expect(made.length).toBeGreaterThan(3)
  for (const [i, { loss, gradNorm }] of made.slice(0, 3).entries()) {
    expect(Math.abs(exact.values[i]!.loss - loss)).toBeLessThan(5e-3)
    expect(Math.abs(exact.values[i]!.gradNorm / gradNorm - 1)).toBeLessThan(2e-2)
  }
})
