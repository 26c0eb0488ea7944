// The optimizers' graphs, run on the CPU, against their reference arithmetic: for devices on which the optimizer is part of the graph.
import { describe, expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import {
  adafactorFactors,
  adafactorMatrix,
  adafactorMatrixGraph,
  adafactorVector,
  adafactorVectorGraph
} from "#src/graph/optimizer/adafactor.ts"
import { adamw, adamwFactors, adamwGraph } from "#src/graph/optimizer/adamw.ts"
import { lion, lionFactors, lionGraph } from "#src/graph/optimizer/lion.ts"
import { sgd, sgdGraph } from "#src/graph/optimizer/sgd.ts"
import { optimizerDefaults } from "#src/graph/optimizer.ts"
import type { Value } from "#src/graph/Value.ts"
import { runGraph } from "./runGraph.ts"

const clip = 0.37
const rates = { learningRate: 3e-3, weightDecay: 0.1 }
const numbers = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => (i % 7 === 5 ? 0 : Math.sin(seed + i * 12.9898) * 10 ** (((i * 7 + seed) % 5) - 3)))

type Tensors = Readonly<Record<string, Float32Array>>

/** Builds a graph with every tensor and scalar as an input, runs it, and returns its outputs. */
const run = async (
  tensors: Tensors,
  shapes: Readonly<Record<string, readonly number[]>>,
  scalars: object,
  build: (tensors: Record<string, Value>, scalars: Record<string, Value>) => object
): Promise<Tensors> => {
  const graph = new Graph()
  const numbersOf = { ...scalars, clip } as Record<string, number>
  const inputs = Object.fromEntries(Object.keys(tensors).map((key) => [key, graph.input(key, "float32", shapes[key] as number[])]))
  const factors = Object.fromEntries(Object.keys(numbersOf).map((key) => [key, graph.input(`factor.${key}`, "float32", [])]))
  for (const [key, value] of Object.entries(build(inputs, factors) as Record<string, Value>)) graph.output(`new.${key}`, value)
  const feeds = {
    ...tensors,
    ...Object.fromEntries(Object.entries(numbersOf).map(([key, x]) => [`factor.${key}`, Float32Array.of(x)]))
  }
  const found = await runGraph(graph, feeds)
  return Object.fromEntries(Object.entries(found).map(([key, data]) => [key.slice(4), data as Float32Array]))
}

/** Equal but for what a mean summed in another order may differ by. */
const expectNear = (found: Tensors, expected: Readonly<Record<string, ArrayLike<number>>>, tolerance: number): void => {
  expect(Object.keys(found).toSorted()).toEqual(Object.keys(expected).toSorted())
  for (const [key, values] of Object.entries(expected)) {
    expect(found[key]?.length).toBe(values.length)
    Array.from(values).forEach((x, i) =>
      expect(Math.abs((found[key]?.[i] as number) - x), `${key}[${i}]`).toBeLessThanOrEqual(tolerance * Math.abs(x))
    )
  }
}

/** Columns of a list of states. */
const columns = <S extends object>(states: readonly S[]): Readonly<Record<string, number[]>> =>
  Object.fromEntries(Object.keys(states[0] as S).map((key) => [key, states.map((state) => state[key as keyof S] as number)]))

const n = 21
const flat = { p: [n], g: [n], m: [n], v: [n] }
const state = { p: numbers(n, 1), g: numbers(n, 2), m: numbers(n, 3), v: numbers(n, 4).map(Math.abs) }
const at = (key: keyof typeof state, i: number): number => state[key][i] as number

describe("value by value: the very bytes of the reference", () => {
  test("adamw", async () => {
    const f = adamwFactors({ ...optimizerDefaults.adamw, ...rates }, 5)
    const found = await run(state, flat, f, ({ p, g, m, v }, { clip, ...s }) => adamwGraph({ p: p!, m: m!, v: v! }, g!, s as never, clip!))
    const expected = Array.from(state.g, (g, i) => adamw({ p: at("p", i), m: at("m", i), v: at("v", i) }, g, f, clip, Math.fround))
    expectNear(found, columns(expected), 0)
  })

  test("lion", async () => {
    const f = lionFactors({ ...optimizerDefaults.lion, ...rates })
    const { v: _, ...tensors } = state
    const found = await run(tensors, flat, f, ({ p, g, m }, { clip, ...s }) => lionGraph({ p: p!, m: m! }, g!, s as never, clip!))
    const expected = Array.from(state.g, (g, i) => lion({ p: at("p", i), m: at("m", i) }, g, f, clip, Math.fround))
    expectNear(found, columns(expected), 0)
  })

  test.each([0, 0.9])("sgd with momentum %s", async (momentum) => {
    const f = { ...rates, momentum }
    const tensors = momentum === 0 ? { p: state.p, g: state.g } : { p: state.p, g: state.g, m: state.m }
    // Without momentum the graph does not read that factor.
    const scalars = momentum === 0 ? rates : f
    const found = await run(tensors, flat, scalars, ({ p, g, m }, { clip, ...s }) =>
      sgdGraph({ p: p!, ...(m === undefined ? {} : { m }) }, g!, s as never, clip!)
    )
    const expected = Array.from(state.g, (g, i) => sgd({ p: at("p", i), m: at("m", i) }, g, f, clip, Math.fround))
    expectNear(found, columns(expected), 0)
  })
})

describe("adafactor: but for the order of sums", () => {
  const f = adafactorFactors({ ...optimizerDefaults.adafactor, ...rates, clipThreshold: 0.5 }, 3, 1)
  const [rows, cols] = [3, 7]

  test("a matrix", async () => {
    const tensors = {
      p: state.p,
      g: state.g,
      row: numbers(rows, 5).map((x) => Math.abs(x) + 0.1),
      col: numbers(cols, 6).map((x) => Math.abs(x) + 0.1)
    }
    const shapes = { p: [rows, cols], g: [rows, cols], row: [rows], col: [cols] }
    const found = await run(tensors, shapes, f, ({ p, g, row, col }, { clip, ...s }) =>
      adafactorMatrixGraph({ p: p!, row: row!, col: col! }, g!, s as never, clip!)
    )
    expectNear(found, { ...adafactorMatrix(tensors, state.g, f, clip, Math.fround) }, 1e-6)
  })

  test("a vector", async () => {
    const tensors = { p: state.p, g: state.g, v: state.v }
    const found = await run(tensors, flat, f, ({ p, g, v }, { clip, ...s }) =>
      adafactorVectorGraph({ p: p!, v: v! }, g!, s as never, clip!)
    )
    expectNear(found, { ...adafactorVector(tensors, state.g, f, clip, Math.fround) }, 1e-6)
  })
})
