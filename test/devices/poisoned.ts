// Opens sessions on a device in a process whose freed memory holds ones, and prints how many of them rounded the operands of a product to the 10 bits
// of TF32:  node --expose-gc poisoned.ts <device> <sessions>
import { encodeModel } from "#src/graph/onnx/encode.ts"
import { Graph } from "#src/graph/Graph.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { Session } from "#src/runtime/Session.ts"

const [device, count] = [process.argv[2] as Target, Number(process.argv[3])]
const size = 128
const graph = new Graph()
graph.output("y", matMul(graph.input("a", "float32", [size, size]), graph.input("b", "float32", [size, size])))
const model = encodeModel(graph, device)
const feeds = { a: new Float32Array(size * size).fill(1 + 2 ** -12), b: new Float32Array(size * size).fill(1) }
/** Bytes of a handle of cuBLAS. */
const handle = 67_256

let rounded = 0
for (let i = 0; i < count; i++) {
  // Held by nothing, so that the collector frees them.
  Array.from({ length: 200 }, () => new Int32Array(handle / 4).fill(1))
  globalThis.gc!()
  await new Promise((done) => setTimeout(done, 0))
  const session = await Session.create(model, { threads: 1, device })
  const { y } = await session.run(feeds, ["y"])
  if (Math.abs(Number(y![0]) - size * (1 + 2 ** -12)) > size * 2 ** -16) rounded++
  await session.release()
}
process.stdout.write(String(rounded))
process.exit()
