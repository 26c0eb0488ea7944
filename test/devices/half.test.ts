// Matrix products in 16 bits, as CUDA computes them: every node has a kernel there, and with operands and results rounded to 16 bits on the CPU
// the numbers are near float32's.
import { describe, expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { placement } from "#src/graph/onnx/placement.ts"
import { cast } from "#src/graph/ops/elementwise.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { Session } from "#src/runtime/Session.ts"
import { names } from "#src/runtime/trainNames.ts"
import { families, type GraphCase, graphCase, methods } from "./cases.ts"
import { train } from "./train.ts"

const run = async ({ graph, feeds, outputs }: GraphCase) => {
  const session = await Session.create(encode(lower(graph, "cpu")), { threads: 1 })
  const results = await session.run(feeds, outputs)
  await session.release()
  return results
}

const products: ReadonlySet<string> = new Set(["MatMul", "FusedMatMul", "Gemm", "MatMulBnb4"])

/** Of the loss, and of all gradients together: the length of the difference by that of the gradient. */
const tolerance = { float16: { loss: 1e-3, gradient: 0.03 }, bfloat16: { loss: 1e-2, gradient: 0.15 } } as const

type Results = Awaited<ReturnType<typeof run>>

const gradientOf = (results: Results): readonly number[] =>
  Object.entries(results).flatMap(([name, values]) => (name === names.nll ? [] : Array.from(values, Number)))
const lossOf = (results: Results): number => Number(results[names.nll]![0])

const distance = (exact: Results, half: Results) => {
  const [g, other] = [gradientOf(exact), gradientOf(half)]
  return {
    loss: Math.abs(lossOf(half) / lossOf(exact) - 1),
    gradient: Math.hypot(...g.map((value, i) => value - other[i]!)) / Math.hypot(...g)
  }
}

describe.each(families)("%s", (family) => {
  test.each(Object.keys(methods))("%s: kernels and numbers of both types", async (method) => {
    const exact = await run(await graphCase(family, methods[method]!))
    for (const type of ["float16", "bfloat16"] as const) {
      const made = await graphCase(family, methods[method]!, { products: type })
      const placed = placement(lower(made.graph, "cuda"), "cuda")
      expect(placed.filter(({ place }) => place !== "device").map(({ node, type }) => `${node.opType} ${type}`)).toEqual([])
      // Sums are products too there (onnx/cuda.ts), exactly.
      const computed = placed.filter(({ node }) => products.has(node.opType) && !/\/sum(\/\d+)?$/.test(node.outputs[0]!))
      expect(new Set(computed.map((each) => each.type))).toEqual(new Set([type]))
      const { loss, gradient } = distance(exact, await run(made))
      expect(loss).toBeLessThan(tolerance[type].loss)
      expect(gradient).toBeLessThan(tolerance[type].gradient)
      // Nothing was computed in float32 unseen.
      expect(gradient).toBeGreaterThan(tolerance[type].gradient / 100)
    }
  })
})

test.each(["float16", "bfloat16"] as const)(
  "on the CPU too what goes into a product of %s and what comes out is rounded",
  async (products) => {
    const graph = new Graph({ products })
    const [x, w] = [graph.input("x", "float32", [1, 2]), graph.input("w", "float32", [2, 1])]
    graph.output("y", matMul(x, w))
    const y = async (a: readonly number[], b: readonly number[]) =>
      (await run({ graph, feeds: { x: Float32Array.from(a), w: Float32Array.from(b) }, outputs: ["y"] }))["y"]![0]
    const first = products === "float16" ? 2 ** 11 : 2 ** 8
    expect(await y([first + 1, 0], [1, 0])).toBe(first)
    expect(await y([first, 1], [1, 1])).toBe(first)
    expect(await y([1e5, 0], [1, 0])).toBe(products === "float16" ? Infinity : 99840)
  }
)

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
  const run = { family: "gemma3_text", method: methods["full"]!, device: "cpu", steps: 6 } as const
  const [exact, half] = [await train(run), await train({ ...run, products: "float16" })]
  expect(half.values).toHaveLength(6)
  for (const [i, { loss, gradNorm }] of exact.values.entries()) {
    expect(Math.abs(half.values[i]!.loss - loss)).toBeLessThan(5e-3)
    expect(Math.abs(half.values[i]!.gradNorm / gradNorm - 1)).toBeLessThan(1e-2)
  }
  expect(half.values).not.toEqual(exact.values)
})

test("steps whose float16 gradients overflow are skipped until the scale is small enough", async () => {
  const { values } = await train({ family: "untied", method: methods["lora"]!, device: "cpu", steps: 6, products: "float16" })
  const norms = values.map(({ gradNorm }) => gradNorm)
  expect(norms[0]).toBeNull()
  expect(norms.some((norm) => norm !== null && norm > 0)).toBe(true)
  expect(values.every(({ loss }) => Number.isFinite(loss))).toBe(true)
})
