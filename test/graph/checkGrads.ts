// Gradients against central differences: the graph's own gradients, run in ONNX Runtime, must agree with differences of its loss.
import { expect } from "vitest"
import { gradients } from "#src/graph/autodiff.ts"
import { Graph } from "#src/graph/Graph.ts"
import { encodeModel } from "#src/graph/onnx/encode.ts"
import { mul } from "#src/graph/ops/elementwise.ts"
import { reduceSum } from "#src/graph/ops/reduce.ts"
import { sizeOf } from "#src/graph/Type.ts"
import type { DType, Shape, TypedArray } from "#src/graph/Type.ts"
import { validate } from "#src/graph/validate.ts"
import type { Value } from "#src/graph/Value.ts"
import { Session } from "#src/runtime/Session.ts"

/** Numbers that repeat for a seed (mulberry32), uniform between low and high. */
export const random = (seed: number, low = -1, high = 1): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return low + ((high - low) * ((t ^ (t >>> 14)) >>> 0)) / 2 ** 32
  }
}

/** Constant indices. */
export const ids = (graph: Graph, values: readonly number[], shape: Shape = [values.length]): Value =>
  graph.constant(BigInt64Array.from(values, BigInt), "int64", shape)

export interface GradCase {
  readonly name: string
  /** Shapes of the inputs that are differentiated. */
  readonly shapes: readonly Shape[]
  /** Values, any of the shapes below; all of them enter the loss with random factors. */
  readonly build: (inputs: readonly Value[], graph: Graph) => readonly Value[] | Value
  /** Inputs are drawn between these; default -1 and 1. */
  readonly range?: readonly [low: number, high: number]
  /** "float32" for ops without a float64 kernel on CPU; their differences are coarse. Default float64. */
  readonly dtype?: DType
  /** Largest error relative to the largest gradient; default 1e-6. */
  readonly bound?: number
}

const make = (dtype: DType, size: number, next: () => number): Float32Array | Float64Array =>
  (dtype === "float32" ? new Float32Array(size) : new Float64Array(size)).map(next)

/** Runs the case; returns the ops that it differentiated. Fails where a gradient is off by more than the bound. */
export const checkGrads = async (test: GradCase, seed = 1): Promise<ReadonlySet<string>> => {
  const { dtype = "float64", bound = 1e-6, range = [-1, 1] } = test
  const graph = new Graph()
  const next = random(seed, ...range)
  const inputs = test.shapes.map((shape, i) => graph.input(`x${i}`, dtype, shape))
  const built = test.build(inputs, graph)
  const parts = (Array.isArray(built) ? (built as readonly Value[]) : [built as Value]).map((value) => {
    const factors = graph.constant(make(dtype, sizeOf(value.shape), random(seed + 1)), dtype, value.shape)
    return reduceSum(mul(value, factors))
  })
  const loss = parts.reduce((a, b) => a.graph.add("Add", [a, b], {})[0]!)
  const forward = new Set(graph.nodes.map((node) => node.op))
  graph.output("loss", loss)
  for (const [i, g] of gradients(loss, inputs).entries()) graph.output(`g${i}`, g)
  expect(validate(graph)).toEqual([])

  const session = await Session.create(encodeModel(graph), { threads: 1 })
  const feeds: Record<string, TypedArray> = {}
  for (const input of inputs) feeds[input.name] = make(dtype, sizeOf(input.shape), next)
  const lossAt = async () => Number((await session.run(feeds, ["loss"]))["loss"]![0])
  const analytic = await session.run(
    feeds,
    inputs.map((_, i) => `g${i}`)
  )
  const step = dtype === "float32" ? 1e-2 : 1e-5
  for (const [i, input] of inputs.entries()) {
    const data = feeds[input.name] as Float64Array
    const exact = [...(analytic[`g${i}`] as Float64Array)]
    const largest = Math.max(1e-3, ...exact.map(Math.abs))
    for (const [at, g] of exact.entries()) {
      const kept = data[at]!
      data[at] = kept + step
      const up = await lossAt()
      data[at] = kept - step
      const down = await lossAt()
      data[at] = kept
      expect(Math.abs((up - down) / (2 * step) - g) / largest, `${test.name}: input ${i}, element ${at}, gradient ${g}`).toBeLessThan(bound)
    }
  }
  await session.release()
  return forward
}
