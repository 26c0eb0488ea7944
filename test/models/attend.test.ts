// Attention in blocks of queries against the plain definition, over every pair of places.
import { describe, expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import { mul } from "#src/graph/ops/elementwise.ts"
import { attend, attentionOf } from "#src/models/attention.ts"
import type { Hooks, ModelConfig } from "#src/models/Model.ts"
import { queryBlocks } from "#src/models/queryBlocks.ts"
import { runGraph } from "../graph/runGraph.ts"

const [B, H, KV, T, hd] = [2, 4, 2, 300, 4]
const numbers = (count: number, seed: number) => Float64Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i) * 2)

interface Setting {
  readonly window: number | null
  readonly prefix: number
  /** Undefined: one document a row; else what the documents of a row share. */
  readonly common: number | undefined
  readonly dropout: boolean
}

/** [B * T, H * hd] */
const run = async ({ window, prefix, common, dropout }: Setting) => {
  const places = prefix + T
  const graph = new Graph()
  const input = (name: string, shape: readonly number[]) => graph.input(name, "float64", shape)
  const earlier = { key: input("earlierKey", [B, KV, prefix, hd]), value: input("earlierValue", [B, KV, prefix, hd]) }
  const mask = input("dropout", [B, H, T, places])
  const hooks: Hooks = {
    ...(prefix === 0 ? {} : { prefix: { length: prefix, keyValue: () => earlier } }),
    ...(dropout ? { dropout: (site, x) => mul(x, site.kind === "attention" ? site.part(mask) : x) } : {})
  }
  const place = (name: string) => graph.input(name, "int64", [B, T])
  const args = {
    inputIds: place("ids"),
    param: () => ({}) as never,
    hooks,
    ...(common === undefined ? {} : { packing: { positions: place("within"), segments: place("segments"), commonPrefix: common } })
  }
  const attention = attentionOf(graph, args, { head_dim: hd } as ModelConfig, B, T, "float64")
  const keyValue = { key: input("key", [B, KV, T, hd]), value: input("value", [B, KV, T, hd]) }
  const { output } = attend(attention, 0, input("query", [B, H, T, hd]), keyValue, { path: "attention", window })
  graph.output("output", output)
  const feeds: Record<string, Float64Array | BigInt64Array> = {
    ids: new BigInt64Array(B * T),
    within: BigInt64Array.from({ length: B * T }, (_, i) => BigInt(withinOf(i % T, common))),
    segments: BigInt64Array.from({ length: B * T }, (_, i) => BigInt(documentOf(i % T)))
  }
  for (const [seed, { name, shape, dtype }] of graph.inputs.entries())
    if (dtype === "float64") {
      const size = shape.reduce((product, n) => product * n, 1)
      feeds[name] = name === "dropout" ? numbers(size, seed).map((x) => (x > 0 ? 2 : 0)) : numbers(size, seed)
    }
  const named = Object.fromEntries(graph.inputs.map(({ name }) => [name, feeds[name]!]))
  return { output: (await runGraph(graph, named))["output"]!, feeds: feeds as Record<string, Float64Array>, products: countProducts(graph) }
}
const countProducts = ({ nodes }: Graph) => nodes.filter(({ op }) => op === "MatMul").length

/** Documents of 110 places, in packed rows. */
const documentOf = (t: number) => Math.floor(t / 110)
const withinOf = (t: number, common = 0) => (t % 110) + (t < 110 ? 0 : common)

const plain = ({ window, prefix, common, dropout }: Setting, feeds: Record<string, Float64Array>): number[] => {
  const places = prefix + T
  const at = (name: string, b: number, head: number, place: number, i: number): number => {
    const kv = Math.floor(head / (H / KV))
    return place < prefix
      ? feeds[`earlier${name === "key" ? "Key" : "Value"}`]![((b * KV + kv) * prefix + place) * hd + i]!
      : feeds[name]![((b * KV + kv) * T + place - prefix) * hd + i]!
  }
  const sees = (q: number, k: number): boolean => {
    const placeOf = (t: number): number => prefix + (common === undefined ? t : withinOf(t, common))
    const position = placeOf(q)
    if (k < prefix) return window === null || position - k < window
    const t = k - prefix
    const isOwn = common === undefined || t < common || documentOf(t) === documentOf(q)
    return t <= q && isOwn && (window === null || position - placeOf(t) < window)
  }
  const result: number[] = []
  for (let b = 0; b < B; b++)
    for (let q = 0; q < T; q++)
      for (let head = 0; head < H; head++) {
        const seen = Array.from({ length: places }, (_, k) => k).filter((k) => sees(q, k))
        const query = Array.from({ length: hd }, (_, i) => feeds["query"]![((b * H + head) * T + q) * hd + i]!)
        const scores = seen.map((k) => Math.exp(query.reduce((sum, x, i) => sum + x * at("key", b, head, k, i), 0) / Math.sqrt(hd)))
        const total = scores.reduce((sum, x) => sum + x, 0)
        const weights = scores.map((x, j) => (x / total) * (dropout ? feeds["dropout"]![((b * H + head) * T + q) * places + seen[j]!]! : 1))
        for (let i = 0; i < hd; i++) result.push(weights.reduce((sum, x, j) => sum + x * at("value", b, head, seen[j]!, i), 0))
      }
  return result
}

const settings = [null, 40].flatMap((window) =>
  [0, 5].flatMap((prefix) => [undefined, 0, 30].flatMap((common) => [false, true].map((dropout) => ({ window, prefix, common, dropout }))))
)

describe("attention over 300 places", () => {
  test.each(settings)("window $window, prefix $prefix, packed behind $common, dropout $dropout", async (setting) => {
    const { output, feeds, products } = await run(setting)
    expect(products).toBe(2 * queryBlocks(T, setting.prefix, setting.window).length)
    const expected = plain(setting, feeds)
    expect(output.length).toBe(expected.length)
    for (const [i, x] of expected.entries()) expect(Math.abs(Number(output[i]) - x), `entry ${i}`).toBeLessThan(1e-12)
  })
})

describe("blocks of queries", () => {
  test("short rows stay whole", () => {
    expect(queryBlocks(255, 0, null)).toEqual([{ start: 0, end: 255, from: 0, to: 255 }])
  })
  test("each sees the places in front and all keys up to its own end", () => {
    expect(queryBlocks(300, 7, null)).toEqual([
      { start: 0, end: 150, from: 0, to: 157 },
      { start: 150, end: 300, from: 0, to: 307 }
    ])
  })
  test("with a window no keys that lie before every query's", () => {
    expect(queryBlocks(300, 0, 40)).toEqual([
      { start: 0, end: 150, from: 0, to: 150 },
      { start: 150, end: 300, from: 111, to: 300 }
    ])
  })
  test("long rows have eight", () => {
    expect(queryBlocks(4096, 0, null).map(({ start }) => start)).toEqual([0, 512, 1024, 1536, 2048, 2560, 3072, 3584])
  })
})
