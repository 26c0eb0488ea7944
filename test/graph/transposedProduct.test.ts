// Gradients of weights on the CPU: whatever form the product takes, it has the bits of the runtime's plain Gemm.
import { describe, expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import { int } from "#src/graph/onnx/Lowering.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { irVersion, type OnnxModel, opsets } from "#src/graph/onnx/Model.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { openModel } from "#src/runtime/openSession.ts"
import { random } from "./checkGrads.ts"

const product = (k: number, m: number, n: number): OnnxModel => {
  const graph = new Graph()
  graph.output("y", matMul(graph.input("a", "float32", [k, m]), graph.input("b", "float32", [k, n]), { transA: true }))
  return lower(graph)
}

const plain = (k: number, m: number, n: number): OnnxModel => {
  const value = (name: string, shape: readonly number[]) => ({ name, dtype: "float32", shape }) as const
  const nodes = [{ name: "gemm", opType: "Gemm", domain: "", inputs: ["a", "b"], outputs: ["y"], attributes: { transA: int(1) } }] as const
  return { irVersion, opsets, nodes, initializers: [], inputs: [value("a", [k, m]), value("b", [k, n])], outputs: [value("y", [m, n])] }
}

describe("a product whose left matrix is transposed", () => {
  test.each([
    ["in slabs: a vocabulary that has a divisor", [70, 8192, 24], ["Reshape", "Unsqueeze", "FusedMatMul", "Reshape"]],
    ["in slabs: the only divisor is a large one", [33, 29 * 1733, 8], ["Reshape", "Unsqueeze", "FusedMatMul", "Reshape"]],
    ["as it is: a vocabulary that is a prime number", [33, 8209, 8], ["Gemm"]],
    ["behind a transpose", [700, 300, 512], ["Transpose", "MatMul"]],
    ["as it is: whole pages", [1024, 300, 512], ["Gemm"]],
    ["as it is: few rows", [512, 300, 512], ["Gemm"]],
    ["as it is: few columns", [700, 600, 256], ["Gemm"]],
    ["as it is: a small result", [700, 8, 512], ["Gemm"]]
  ] as const)("%s", async (_, [k, m, n], ops) => {
    const next = random(k + m)
    const feeds = { a: new Float32Array(k * m).map(next), b: new Float32Array(k * n).map(next) }
    const results = []
    expect(product(k, m, n).nodes.map(({ opType }) => opType)).toEqual(ops)
    for (const [model, threads] of [
      [plain(k, m, n), 1],
      [product(k, m, n), 1],
      [product(k, m, n), 2]
    ] as const) {
      const session = await openModel(model, { threads })
      const y = (await session.run(feeds, ["y"]))["y"] as Float32Array
      results.push(Buffer.from(y.buffer, y.byteOffset, y.byteLength).toString("base64"))
      await session.release()
    }
    expect(results[1] === results[0]).toBe(true)
    expect(results[2] === results[0]).toBe(true)
  })
})
