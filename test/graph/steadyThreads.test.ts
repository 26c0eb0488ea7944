// Products on several threads: where isSteady says so, their bits are those of one thread, in each form that a graph has them.
import { expect, test } from "vitest"
import { uniform } from "#src/domain/random.ts"
import { Graph } from "#src/graph/Graph.ts"
import { encodeModel } from "#src/graph/onnx/encode.ts"
import { isSteady, type Product, steadyThreads } from "#src/graph/onnx/steadyThreads.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { Session } from "#src/runtime/Session.ts"

const forms = [{}, { transB: true }, { transA: true }, { transB: true, alpha: 0.5 }] as const

const graphOf = ({ m, n, k, batch }: Product, form: (typeof forms)[number]): Graph => {
  const { transA = false, transB = false } = form as { readonly transA?: boolean; readonly transB?: boolean }
  const lead = batch === 1 ? [] : [batch]
  const graph = new Graph()
  const a = graph.input("a", "float32", [...lead, ...(transA ? [k, m] : [m, k])])
  const b = graph.input("b", "float32", [...lead, ...(transB ? [n, k] : [k, n])])
  graph.output("y", matMul(a, b, form))
  return graph
}

const bitsOf = async (graph: Graph, threads: number): Promise<Float32Array> => {
  const session = await Session.create(encodeModel(graph), { threads })
  const feeds = Object.fromEntries(
    graph.inputs.map(({ name, shape }, seed) => {
      const size = shape.reduce((product, dim) => product * dim, 1)
      return [name, new Float32Array(size).map((_, i) => (((i + seed) * 7919) % 10007) / 10007 - 0.5)]
    })
  )
  const { y } = await session.run(feeds, ["y"])
  await session.release()
  return y as Float32Array
}

const drawn = (seed: number): Product => {
  const draw = (i: number, most: number) => 1 + Math.floor(uniform(seed, 2, i) ** 2 * most)
  return { m: draw(0, 200), n: draw(1, 700), k: draw(2, 900), batch: seed % 4 === 0 ? draw(3, 5) : 1 }
}
const known: readonly (readonly [product: Product, from: number])[] = [
  [{ m: 32, n: 128, k: 256, batch: 1 }, 2],
  [{ m: 100, n: 256, k: 576, batch: 1 }, 4],
  [{ m: 64, n: 576, k: 1536, batch: 1 }, 8],
  [{ m: 100, n: 512, k: 2048, batch: 1 }, 7],
  [{ m: 512, n: 1024, k: 2048, batch: 1 }, 13],
  [{ m: 60, n: 130, k: 300, batch: 1 }, 2],
  [{ m: 32, n: 128, k: 256, batch: 3 }, 4]
]
const always: readonly Product[] = [
  { m: 32, n: 128, k: 128, batch: 1 },
  { m: 200, n: 192, k: 576, batch: 1 },
  { m: 300, n: 256, k: 2048, batch: 1 }
]

test("threads from which on the runtime was seen to round otherwise", () => {
  for (const [product, from] of known) {
    expect(isSteady(product, from), JSON.stringify(product)).toBe(false)
    expect(isSteady(product, from - 1), JSON.stringify(product)).toBe(true)
  }
  for (const product of always) expect(isSteady(product, 64)).toBe(true)
})

test.each(forms)("%j: the same bits on as many threads as a product is steady on", async (form) => {
  let several = 0
  for (const product of [...known.map(([product]) => product), ...always, ...Array.from({ length: 24 }, (_, seed) => drawn(seed))]) {
    const graph = graphOf(product, form)
    const one = Buffer.from((await bitsOf(graph, 1)).buffer)
    for (const threads of new Set([2, 4, 8].map((most) => steadyThreads(graph, most)))) {
      if (threads === 1) continue
      several++
      expect(Buffer.from((await bitsOf(graph, threads)).buffer).equals(one), `${JSON.stringify(product)}, ${threads} threads`).toBe(true)
    }
  }
  expect(several).toBeGreaterThan(40)
})

test("a graph has the threads of its narrowest product", () => {
  const graph = new Graph()
  const x = graph.input("x", "float32", [100, 576])
  graph.output("narrow", matMul(x, graph.input("a", "float32", [576, 256])))
  graph.output("wide", matMul(x, graph.input("b", "float32", [576, 4096])))
  expect([1, 2, 3, 4, 32].map((threads) => steadyThreads(graph, threads))).toEqual([1, 2, 3, 3, 3])
})
