// Gradients of weights: products whose left matrix is read transposed, as the runtime's plain Gemm and in the form that a graph takes for the CPU
// (src/graph/onnx/transposedProduct.ts), turn by turn, each in a process of its own:  node --conditions=source bench/products.ts
import { spawnSync } from "node:child_process"
import { Graph } from "#src/graph/Graph.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { int } from "#src/graph/onnx/Lowering.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import type { OnnxModel } from "#src/graph/onnx/Model.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { Session } from "#src/runtime/Session.ts"

type Shape = readonly [k: number, m: number, n: number]
/** Rows summed over, rows and columns of the result: heads, and linear layers of models that the other benches have. */
const shapes: readonly Shape[] = [
  [456, 50257, 512],
  [512, 49152, 576],
  [512, 128256, 2048],
  [1024, 8192, 512],
  [1536, 1376, 512],
  [1536, 512, 1376],
  [768, 2048, 2048],
  [1024, 1376, 512],
  [512, 1536, 576]
]

const modelOf = ([k, m, n]: Shape, form: string): OnnxModel => {
  const graph = new Graph()
  graph.output("y", matMul(graph.input("a", "float32", [k, m]), graph.input("b", "float32", [k, n]), { transA: true }))
  const model = lower(graph)
  const gemm = { name: "gemm", opType: "Gemm", domain: "", inputs: ["a", "b"], outputs: ["y"], attributes: { transA: int(1) } } as const
  return form === "plain" ? { ...model, nodes: [gemm], initializers: [] } : model
}

/** Milliseconds, the median of as many runs as take a few seconds. */
const timed = async (shape: Shape, form: string): Promise<number> => {
  const [k, m, n] = shape
  const session = await Session.create(encode(modelOf(shape, form), { fills: true }), { threads: 2 })
  const filled = (size: number): Float32Array => new Float32Array(size).map((_, i) => ((i * 7919) % 1013) / 1013 - 0.5)
  const feeds = { a: filled(k * m), b: filled(k * n) }
  const y = new Float32Array(m * n)
  const times: number[] = []
  for (let i = 0; i < Math.max(7, Math.min(200, 4e11 / (2 * k * m * n))); i++) {
    const start = performance.now()
    await session.run(feeds, { y })
    times.push(performance.now() - start)
  }
  return times.toSorted((a, b) => a - b)[times.length >> 1] as number
}

const [form, ...numbers] = process.argv.slice(2)
if (form !== undefined) {
  console.log(await timed(numbers.map(Number) as unknown as Shape, form))
  process.exit()
}
console.log("| product | plain GFLOP/s | form | GFLOP/s | ratio |\n| --- | ---: | --- | ---: | ---: |")
for (const shape of shapes) {
  const flops = 2 * shape[0] * shape[1] * shape[2]
  const own = (which: string): number => {
    const args = ["--conditions=source", "--no-warnings", import.meta.filename, which, ...shape.map(String)]
    return Number(spawnSync(process.execPath, args, { encoding: "utf8" }).stdout)
  }
  const turns = [0, 1].map(() => [own("plain"), own("chosen")] as const)
  const [plain, chosen] = [0, 1].map((side) => Math.min(...turns.map((turn) => turn[side] as number))) as [number, number]
  const ops = modelOf(shape, "chosen").nodes.map(({ opType }) => opType)
  const speed = (ms: number): string => (flops / ms / 1e6).toFixed(0)
  const name = `[${shape[0]}, ${shape[1]}]^T [${shape[0]}, ${shape[2]}]`
  console.log(
    `| ${name} | ${speed(plain)} | ${ops.filter((op) => op !== "Reshape").join(", ")} | ${speed(chosen)} | ${(plain / chosen).toFixed(2)} |`
  )
}
