// The forecast of a run's memory against what the runtime does: the regions that its arena takes from the system, read from its log.
import { spawnSync } from "node:child_process"
import { resolve } from "node:path"
import { describe, expect, test } from "vitest"
import { newArena } from "#src/graph/arena.ts"
import { Graph } from "#src/graph/Graph.ts"
import { allocations, runMemory } from "#src/graph/memory.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { typesOf } from "#src/graph/onnx/types.ts"
import { add, exp, sigmoid } from "#src/graph/ops/elementwise.ts"
import { reshape } from "#src/graph/ops/shape.ts"

const regionsOf = (...options: readonly string[]) => {
  const script = resolve(import.meta.dirname, "arenaLog.ts")
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--conditions=source", "--no-warnings", script, ...options], {
    encoding: "utf8"
  })
  expect(status, stderr).toBe(0)
  const taken = [...stderr.matchAll(/Extended allocation by (\d+) bytes/g)].map(([, bytes]) => Number(bytes))
  return { taken, forecast: JSON.parse(stdout) as readonly number[] }
}

describe("runMemory", () => {
  test.each([["full"], ["lora"], ["qlora"], ["full", "on"], ["lora", "off", "40000"]])("%s %s %s: the arena's regions", (...options) => {
    const { taken, forecast } = regionsOf(...options)
    expect(taken.length).toBeGreaterThan(3)
    expect(forecast).toEqual(taken)
  })

  test("buffers are shared as the runtime shares them", () => {
    const graph = new Graph()
    const x = graph.input("x", "float32", [64])
    const a = exp(x) // a buffer
    const b = exp(a) // another one: arithmetic is not done in place
    const c = exp(b) // that of a, which nobody reads any more
    const d = sigmoid(c) // in the place of c
    const e = reshape(d, [8, 8]) // d under another shape
    graph.output("y", add(e, e)) // in the caller's array
    const model = lower(graph)
    const steps = allocations(model, typesOf(model))
    expect(steps.flatMap(({ takes }) => takes.map(({ name, bytes }) => [name, bytes]))).toEqual([
      [a.name, 256],
      [b.name, 256]
    ])
    expect(steps.map(({ frees }) => frees.map(({ name }) => name))).toEqual([[], [], [b.name], [], [], [a.name]])
    expect(runMemory(model, typesOf(model))).toMatchObject({ peak: 512, arena: 512, regions: [2 ** 20] })
  })
})

describe("arena", () => {
  test("the smallest chunk that fits is used, free neighbours become one, regions double", () => {
    const arena = newArena()
    const [a, b, c] = [1000, 300, 700].map((bytes) => arena.take(bytes))
    expect([a!.at, b!.at, c!.at]).toEqual([0, 1024, 1024 + 512])
    expect(arena.touched()).toBe(1024 + 512 + 768)
    arena.free(a!)
    expect(arena.take(300).at).toBe(0)
    arena.free(b!)
    expect(arena.take(700).at).toBe(512)
    arena.take(2 ** 20)
    arena.take(3 * 2 ** 20)
    expect(arena.regions()).toEqual([2 ** 20, 2 ** 21, 2 ** 22])
    expect(arena.touched()).toBe(1024 + 512 + 768 + 2 ** 20 + 3 * 2 ** 20)
  })
})
