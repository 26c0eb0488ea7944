// What every family must offer to the rest of anneal: chosen positions, places for dropout, modules that PEFT's defaults find,
// 4 dimensions of keys and values for the cache.
import { resolve } from "node:path"
import { describe, expect, test } from "vitest"
import { targetsOf } from "#src/adapters/targets.ts"
import { Graph } from "#src/graph/Graph.ts"
import { scale } from "#src/graph/ops/elementwise.ts"
import { loadModel } from "#src/models/load.ts"
import type { BuildArgs, DropoutSite } from "#src/models/Model.ts"
import { runGraph } from "../graph/runGraph.ts"

const families = ["gemma3", "gemma3_text", "gpt2", "mistral", "phi3", "qwen2", "qwen3", "smollm3", "tied"]
const ids = BigInt64Array.of(5n, 2n, 9n, 30n, 7n, 11n, 2n, 4n)

describe.each(families)("%s", (name) => {
  const open = () => loadModel(resolve(import.meta.dirname, "..", "parity", "own", name, "hf"))
  const logits = async (args: (graph: Graph) => Omit<BuildArgs, "inputIds" | "param">): Promise<Float32Array> => {
    const { model, weights } = await open()
    const graph = new Graph()
    const values = new Map(model.parameters.map(({ name, shape }) => [name, graph.constant(weights.read(name), "float32", shape, name)]))
    const inputIds = graph.input("ids", "int64", [2, 4])
    graph.output("logits", model.build(graph, { inputIds, param: (name) => values.get(name)!, ...args(graph) }).logits)
    return (await runGraph(graph, { ids }))["logits"] as Float32Array
  }

  test("logits of selected positions are those rows of all logits", async () => {
    const { model } = await open()
    const all = await logits(() => ({}))
    const some = await logits((graph) => ({ select: graph.constant(BigInt64Array.of(6n, 1n), "int64", [2]) }))
    const row = (i: number) => [...all.subarray(i * model.vocabSize, (i + 1) * model.vocabSize)]
    const expected = [...row(6), ...row(1)]
    expect(some.length).toBe(expected.length)
    some.forEach((x, i) => expect(Math.abs(x - expected[i]!)).toBeLessThan(1e-5))
  })

  test.each([
    [false, 2],
    [true, 8]
  ])(
    "behind its attention the last layer works on selected positions alone, but for hooks of every place: %s",
    async (everyPlace, rows) => {
      const { model } = await open()
      const counts: number[] = []
      const hooks: BuildArgs["hooks"] = {
        everyPlace,
        dropout: (site, x) => {
          if (site.kind === "residual") counts.push(x.shape[0]!)
          return x
        }
      }
      const some = await logits((graph) => ({ hooks, select: graph.constant(BigInt64Array.of(6n, 1n), "int64", [2]) }))
      expect(some.length).toBe(2 * model.vocabSize)
      expect(counts).toEqual([...new Array<number>(2 * model.config.num_hidden_layers - 1).fill(8), rows])
    }
  )

  test("dropout is asked for once at each place, and counts there", async () => {
    const { model } = await open()
    const sites: string[] = []
    const plain = await logits(() => ({}))
    const dropout = (kind: DropoutSite["kind"], factor: number) =>
      logits(() => ({
        hooks: {
          dropout: (site, x) => {
            if (kind === "embedding" && factor !== 1) sites.push(site.kind === "embedding" ? "embedding" : `${site.kind} ${site.path}`)
            if (site.kind === "attention") expect(x.shape).toEqual([2, model.config.num_attention_heads, 4, 4])
            else expect(x.shape).toEqual([8, model.config.hidden_size])
            return site.kind === kind ? scale(x, factor) : x
          }
        }
      }))
    const changes = async (kind: DropoutSite["kind"]) => (await dropout(kind, 0.5)).some((x, i) => Math.abs(x - plain[i]!) > 1e-3)
    expect(await dropout("embedding", 1)).toEqual(plain)
    expect([await changes("embedding"), await changes("attention"), await changes("residual")]).toEqual([true, true, true])
    const layers = model.config.num_hidden_layers
    expect(sites.length).toBe(1 + 3 * layers)
    expect(new Set(sites).size).toBe(sites.length)
  })

  test("the default targets of adapters are modules of every layer", async () => {
    const { model } = await open()
    const layers = model.config.num_hidden_layers
    const count = (targetModules: readonly string[]) => targetsOf(model, { targetModules }).linears.length
    const { lora, ia3, ia3Feedforward } = model.targets
    expect([count(lora), count(ia3), count(ia3Feedforward)]).toEqual([lora, ia3, ia3Feedforward].map((modules) => modules.length * layers))
    for (const module of ia3Feedforward) expect(ia3).toContain(module)
    expect(model.parameters.some(({ name }) => name === `${model.embedding}.weight`)).toBe(true)
    expect(model.parameters.some(({ name }) => name === `${model.head.path}.weight`)).toBe(!model.config.tie_word_embeddings)
    expect(
      model.linears.flatMap(({ path }) => `${path}.weight`).filter((name) => !model.parameters.some((each) => each.name === name))
    ).toEqual([])
  })

  test("keys and values of every layer are [B, KV, T, hd]", async () => {
    const { model } = await open()
    const { num_key_value_heads: KV, head_dim, num_hidden_layers } = model.config
    const graph = new Graph()
    const inputIds = graph.input("ids", "int64", [2, 4])
    const param = (name: string) =>
      graph.inputs.find((input) => input.name === name) ??
      graph.input(name, "float32", model.parameters.find((each) => each.name === name)!.shape)
    const { present } = model.build(graph, { inputIds, param })
    expect(present.map(({ key, value }) => [key.shape, value.shape])).toEqual(
      Array.from({ length: num_hidden_layers }, () => [
        [2, KV, 4, head_dim],
        [2, KV, 4, head_dim]
      ])
    )
  })
})
