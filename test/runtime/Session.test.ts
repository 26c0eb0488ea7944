// The wrapper over ONNX Runtime: shared memory in and out, results that do not depend on threads, errors without a native trace.
import { describe, expect, test, vi } from "vitest"
import { isAnnealError } from "#src/domain/Errors.ts"
import { Graph } from "#src/graph/Graph.ts"
import { encode, encodeModel } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { add, cast, scale } from "#src/graph/ops/elementwise.ts"
import { gather } from "#src/graph/ops/index.ts"
import { Session } from "#src/runtime/Session.ts"
import { network, networkFeeds } from "../graph/network.ts"

const doubling = (): Graph => {
  const graph = new Graph()
  const x = graph.input("x", "float32", [2, 2])
  graph.output("twice", scale(x, 2))
  graph.output("next", add(x, graph.constant(1, "float32", [])))
  return graph
}

const failure = async (work: () => Promise<unknown>): Promise<unknown> => {
  try {
    return await work()
  } catch (u) {
    return u
  }
}

describe("Session", () => {
  test("reads and fills views into shared memory", async () => {
    const session = await Session.create(encodeModel(doubling()), { threads: 1 })
    const memory = new SharedArrayBuffer(64)
    const [x, twice] = [new Float32Array(memory, 8, 4), new Float32Array(memory, 40, 4)]
    x.set([1, 2, 3, 4])
    expect(await session.run({ x }, { twice })).toEqual({ twice })
    x.set([5], 3)
    await session.run({ x }, { twice })
    expect([...new Float32Array(memory)]).toEqual([0, 0, 1, 2, 3, 5, 0, 0, 0, 0, 2, 4, 6, 10, 0, 0])
    await session.release()
  })

  test("computes only what is asked for", async () => {
    const session = await Session.create(encodeModel(doubling()), { threads: 1 })
    expect([session.inputNames, session.outputNames]).toEqual([["x"], ["twice", "next"]])
    expect(await session.run({ x: Float32Array.of(1, 2, 3, 4) }, ["next"])).toEqual({ next: Float32Array.of(2, 3, 4, 5) })
    await session.release()
  })

  test("takes float16 bits", async () => {
    const graph = new Graph()
    graph.output("y", cast(graph.input("x", "float16", [2]), "float32"))
    const session = await Session.create(encodeModel(graph), { threads: 1 })
    expect(await session.run({ x: Uint16Array.of(0x3c00, 0xc000) }, ["y"])).toEqual({ y: Float32Array.of(1, -2) })
    await session.release()
  })

  test("a training step gives the same bits with one thread, with two and again", async () => {
    const shape = { vocab: 97, width: 64, layers: 2, heads: 4, inner: 80, batch: 4, length: 32, tied: true }
    const graph = network(shape)
    const feeds = networkFeeds(graph, shape.vocab)
    const names = graph.outputs.map((output) => output.name)
    const results = []
    for (const threads of [1, 2, 2]) {
      const session = await Session.create(encodeModel(graph), { threads })
      results.push(await session.run(feeds, names))
      await session.release()
    }
    expect(results[1]).toEqual(results[0])
    expect(results[2]).toEqual(results[0])
  })

  test.each([
    ["a model fills arrays of the caller, and copies are dropped", false, 2],
    ["one that was encoded for that makes none", true, 0]
  ])("%s", async (_, fills, copies) => {
    const session = await Session.create(encode(lower(doubling()), { fills }), { threads: 1 })
    expect(session.outputNames).toEqual(["twice", "next"])
    const x = Float32Array.of(1, 2, 3, 4)
    const [twice, next] = [new Float32Array(4), new Float32Array(new SharedArrayBuffer(16))]
    const dropped = vi.spyOn(ArrayBuffer.prototype, "transfer")
    await session.run({ x }, { twice, next })
    expect(dropped).toHaveBeenCalledTimes(copies)
    dropped.mockRestore()
    expect([...twice, ...next]).toEqual([2, 4, 6, 8, 2, 3, 4, 5])
    expect(await session.run({ x }, ["next"])).toEqual({ next: Float32Array.of(2, 3, 4, 5) })
    expect(isAnnealError(await failure(() => session.run({}, { twice })))).toBe(true)
    await session.release()
  })

  test.each([
    ["an unknown input", (s: Session) => s.run({ y: new Float32Array(4) }, ["next"]), "the graph has no y"],
    ["an array of another size", (s: Session) => s.run({ x: new Float32Array(3) }, ["next"]), "Tensor's size(4)"],
    ["an array of another type", (s: Session) => s.run({ x: new Int32Array(4) }, ["next"]), "x"],
    ["a missing input", (s: Session) => s.run({}, ["next"]), "x"]
  ])("%s is one of our errors in one line", async (_, run, message) => {
    const session = await Session.create(encodeModel(doubling()), { threads: 1 })
    const found = await failure(() => run(session))
    expect(isAnnealError(found)).toBe(true)
    const { message: text, where = "" } = found as { readonly message: string; readonly where?: string }
    expect(`${where}: ${text}`).toContain(message)
    expect(text).not.toContain("\n")
    await session.release()
  })

  test("an index outside a table names the node and its range", async () => {
    const graph = new Graph()
    graph.output("y", gather(graph.input("x", "float32", [4, 2]), graph.input("i", "int64", [1])))
    const session = await Session.create(encodeModel(graph), { threads: 1 })
    const found = await failure(() => session.run({ x: new Float32Array(8), i: BigInt64Array.of(4n) }, ["y"]))
    expect(found).toMatchObject({
      _tag: "BugError",
      message: expect.stringContaining("indices element out of data bounds, idx=4") as string
    })
    await session.release()
  })

  test("bytes that are no model are one of our errors", async () => {
    expect(await failure(() => Session.create(Uint8Array.of(1, 2, 3), { threads: 1 }))).toMatchObject({ _tag: "BugError" })
  })
})
