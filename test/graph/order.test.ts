// The order of nodes: what ONNX Runtime really runs (read from its profile), and that it runs what needs least memory first.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { executionOrder } from "#src/graph/executionOrder.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import type { OnnxModel } from "#src/graph/onnx/Model.ts"
import { orderNodes } from "#src/graph/order.ts"
import { Session } from "#src/runtime/Session.ts"
import { network, networkFeeds } from "./network.ts"

const shape = { vocab: 13, width: 8, layers: 4, heads: 2, inner: 6, batch: 2, length: 5, tied: false }
const graph = network(shape)
const model = lower(graph)

/** The order in which the nodes were created: their names end in it. */
const created = (node: { readonly name: string }): number => Number(node.name.slice(node.name.lastIndexOf("_") + 1))
const naive = model.nodes.toSorted((a, b) => created(a) - created(b))

/** Names of the nodes in the order in which the runtime ran them. */
const profiled = async (run: OnnxModel): Promise<readonly string[]> => {
  const folder = mkdtempSync(join(tmpdir(), "anneal-order-"))
  try {
    const session = await Session.create(encode(run), { threads: 1, profile: join(folder, "profile") })
    await session.run(networkFeeds(graph, shape.vocab), ["loss"])
    await session.release()
    const events = JSON.parse(readFileSync(join(folder, readdirSync(folder)[0]!), "utf8")) as readonly { readonly name: string }[]
    return events.flatMap(({ name }) => (name.endsWith("_kernel_time") ? [name.replace(/_kernel_time$/, "")] : []))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Most values alive at once when the nodes of a model run in this order; each counts one, fetched ones too. */
const peak = (run: OnnxModel, order: readonly number[]): number => {
  const made = new Set(run.nodes.flatMap((node) => node.outputs))
  const left = new Map<string, number>()
  const inputsOf = (i: number) => [...new Set(run.nodes[i]!.inputs)].filter((name) => made.has(name))
  for (const i of order) for (const name of inputsOf(i)) left.set(name, (left.get(name) ?? 0) + 1)
  let alive = 0
  let most = 0
  for (const i of order) {
    alive += run.nodes[i]!.outputs.filter((name) => left.has(name)).length
    most = Math.max(most, alive)
    for (const name of inputsOf(i)) {
      left.set(name, left.get(name)! - 1)
      if (left.get(name) === 0) alive--
    }
  }
  return most
}

describe("order of execution", () => {
  test("executionOrder is what the runtime does, for our order and for another", async () => {
    for (const run of [model, { ...model, nodes: naive }]) {
      expect(await profiled(run)).toEqual(executionOrder(run.nodes).map((i) => run.nodes[i]!.name))
    }
  })

  test("each gradient is computed before the backward pass of the layer below begins", () => {
    const ran = executionOrder(model.nodes).map((i) => model.nodes[i]!.outputs[0])
    const done = (name: string) => ran.indexOf(name)
    const names = ["down", "up", "gate", "norm2", "o", "v", "q", "k", "norm1"]
    for (let layer = 1; layer < shape.layers; layer++) {
      const above = names.map((name) => done(`grad/${layer}.${name}`))
      const below = names.map((name) => done(`grad/${layer - 1}.${name}`))
      expect(Math.min(...above)).toBeGreaterThan(-1)
      expect(Math.max(...above)).toBeLessThan(Math.min(...below))
    }
    expect(done("loss")).toBeLessThan(done("grad/head"))
    expect(ran.at(-1)).toBe("grad/embed")
  })

  test("needs less memory than the order of creation", () => {
    const order = executionOrder(model.nodes)
    expect(peak(model, order)).toBeLessThan(0.75 * peak({ ...model, nodes: naive }, executionOrder(naive)))
  })

  test("keeps a topological order and drops dead nodes", () => {
    const node = (name: string, ...inputs: readonly string[]) => ({ inputs, outputs: [name] })
    const ordered = orderNodes([node("a", "x"), node("dead", "a"), node("b", "x"), node("c", "a", "b"), node("d", "a")], ["c", "d"])
    expect(ordered.map(({ outputs }) => outputs[0])).toEqual(["a", "b", "d", "c"])
  })
})
