// Who sees whom, against the plain definition: causal, within the window, within the own document, and the prefix as earlier places.
import { describe, expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import type { Value } from "#src/graph/Value.ts"
import { attentionOf } from "#src/models/attention.ts"
import type { Hooks, ModelConfig } from "#src/models/Model.ts"
import { runGraph } from "../graph/runGraph.ts"

const [B, T] = [2, 7]
/** Documents of 3, 2 and padding; of 4 and 3. */
const segments = [
  [0, 0, 0, 1, 1, -1, -1],
  [2, 2, 2, 2, 3, 3, 3]
]
/** Places of documents that begin with the first `common` of their row. */
const withinBehind = (common: number) =>
  segments.map((row) => row.map((document, t) => (document < 0 ? 0 : t - row.indexOf(document) + (document === row[0] ? 0 : common))))

const settings = [null, 2, 3, 20].flatMap((window) =>
  [0, 2].flatMap((prefix) => [undefined, 0, 2].map((common) => ({ window, prefix, common })))
)

describe.each(["float32", "float64"] as const)("%s", (dtype) => {
  test.each(settings)("window $window, prefix $prefix, packed behind $common", async ({ window, prefix, common }) => {
    const packed = common !== undefined
    const within = withinBehind(common ?? 0)
    const graph = new Graph()
    const place = (name: string): Value => graph.input(name, "int64", [B, T])
    const hooks: Hooks = prefix === 0 ? {} : { prefix: { length: prefix, keyValue: () => ({}) as never } }
    const args = {
      inputIds: place("ids"),
      param: () => ({}) as never,
      hooks,
      ...(packed ? { packing: { positions: place("within"), segments: place("segments"), commonPrefix: common } } : {})
    }
    const attention = attentionOf(graph, args, { head_dim: 4 } as ModelConfig, B, T, dtype)
    expect(attention.positionCount).toBe(prefix + T)
    const mask = attention.mask(window)
    expect(mask.dtype).toBe(dtype)
    graph.output("mask", mask)
    graph.output("positions", attention.positions)
    const flat = (rows: readonly (readonly number[])[]) => BigInt64Array.from(rows.flat(), BigInt)
    const feeds = { ids: new BigInt64Array(B * T), within: flat(within), segments: flat(segments) }
    const result = await runGraph(graph, Object.fromEntries(graph.inputs.map(({ name }) => [name, feeds[name as keyof typeof feeds]])))

    const positionOf = (b: number, t: number): number => prefix + (packed ? within[b]![t]! : t)
    const sees = (b: number, q: number, k: number): boolean => {
      const far = (position: number): boolean => window !== null && positionOf(b, q) - position >= window
      if (k < prefix) return !far(k)
      const t = k - prefix
      return t <= q && (!packed || segments[b]![q] === segments[b]![t] || t < common) && !far(positionOf(b, t))
    }
    const keys = prefix + T
    const [rows, , queries, places] = mask.shape.length === 2 ? [1, 1, ...mask.shape] : mask.shape
    expect([queries, places]).toEqual([T, keys])
    for (let b = 0; b < B; b++)
      for (let q = 0; q < T; q++) {
        expect(Number(result["positions"]![b * T + q])).toBe(positionOf(b, q))
        for (let k = 0; k < keys; k++) {
          const value = Number(result["mask"]![((rows === 1 ? 0 : b) * T + q) * keys + k])
          // What padding sees is never read.
          if (packed && segments[b]![q]! < 0) continue
          expect(value === 0 ? "seen" : "hidden", `row ${b}, query ${q}, place ${k}`).toBe(sees(b, q, k) ? "seen" : "hidden")
          if (value !== 0) expect(value).toBeLessThan(-1e38)
        }
      }
  })
})
