// Frozen tensors: the value that the graph makes of each form is exactly the one that is computed here.
import { describe, expect, test } from "vitest"
import { normal } from "#src/domain/random.ts"
import { quantize } from "#src/formats/bitsandbytes/quantize.ts"
import { dequantize, type Quantized } from "#src/formats/bitsandbytes/quantized.ts"
import { gradients } from "#src/graph/autodiff.ts"
import { Graph } from "#src/graph/Graph.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { mul } from "#src/graph/ops/elementwise.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import { reduceSum } from "#src/graph/ops/reduce.ts"
import { type Frozen, frozenFeeds, frozenValues, plain, quantized } from "#src/runtime/Frozen.ts"
import { runGraph } from "../graph/runGraph.ts"

const values = (size: number, seed: number): Float32Array => Float32Array.from({ length: size }, (_, i) => normal(seed, 0, i))

const valuesOf = async (frozen: readonly Frozen[]) => {
  const graph = new Graph()
  const { value } = frozenValues(graph, frozen)
  for (const { name } of frozen) graph.output(`value.${name}`, value(name)!)
  expect(value("another")).toBeUndefined()
  return { graph, results: await runGraph(graph, frozenFeeds(frozen)) }
}

const forms = (["nf4", "fp4"] as const).flatMap((quantType) =>
  [true, false].map((doubleQuant) => ({ quantType, doubleQuant, blockSize: 64 }))
)

/** As of a code for which there is no kernel: its values are looked up. */
const otherCode = (stored: Quantized): Quantized => ({ ...stored, codes: stored.codes.slice() })

describe.each(forms)("%j", (options) => {
  test.each([
    ["whole blocks", [32, 64]],
    ["blocks that run across rows", [24, 96]],
    ["an incomplete last block and an odd count", [7, 13]],
    ["more than one nested block", [200, 260]]
  ] as const)("%s", async (_, shape) => {
    const stored = quantize(values(shape[0] * shape[1], 1), shape, options, "w")
    for (const each of [stored, otherCode(stored)]) {
      const { results } = await valuesOf([quantized("w", { ...each, transposed: false })])
      expect(results["value.w"]).toEqual(dequantize(stored))
    }
  })

  test("[out, in] for a layer that is used as [in, out]", async () => {
    const stored = quantize(values(48 * 64, 2), [48, 64], options, "w")
    const frozen = quantized("w", { ...stored, transposed: true })
    expect(frozen.shape).toEqual([64, 48])
    const rows = dequantize(stored)
    const { results } = await valuesOf([frozen])
    expect(results["value.w"]).toEqual(Float32Array.from({ length: rows.length }, (_, i) => rows[(i % 48) * 64 + Math.floor(i / 48)]!))
  })
})

describe.each(forms)("a linear layer over %j", (options) => {
  test.each([
    ["[out, in]", false],
    ["[in, out]", true]
  ] as const)("of a weight %s has the bits of one over plain values, and so has its gradient", async (_, transposed) => {
    const stored = quantize(values(96 * 128, 4), [96, 128], options, "w")
    const [weight, other] = [stored, otherCode(stored)].map((each) => quantized("w", { ...each, transposed })) as [Frozen, Frozen]
    const run = async (frozen: Frozen, kernel: boolean) => {
      const graph = new Graph()
      const x = graph.input("x", "float32", [5, 128])
      const y = matMul(x, frozenValues(graph, [frozen]).value("w")!, { transB: !transposed })
      const [dx] = gradients(reduceSum(mul(y, y)), [x])
      graph.output("y", y)
      graph.output("dx", dx!)
      expect(lower(graph).nodes.some(({ opType }) => opType === "MatMulBnb4")).toBe(kernel)
      return runGraph(graph, { ...frozenFeeds([frozen]), x: values(5 * 128, 5) })
    }
    const { results } = await valuesOf([weight])
    const expected = await run(plain("w", weight.shape, results["value.w"] as Float32Array), false)
    expect(await run(weight, true)).toEqual(expected)
    expect(await run(other, false)).toEqual(expected)
  })
})

test("a plain tensor is its own input, read in place", async () => {
  const data = values(6, 3)
  const frozen = plain("w", [2, 3], data)
  expect(frozenFeeds([frozen])["w"]).toBe(data)
  expect((await valuesOf([frozen])).results["value.w"]).toEqual(data)
  expect(frozen.bytes).toBe(24)
})

test("whole blocks are fed as they are, and all tensors share the tables", async () => {
  const options = { quantType: "nf4", doubleQuant: true, blockSize: 64 } as const
  const stored = [1, 2].map((seed) => quantize(values(512 * 512, seed), [512, 512], options, "w"))
  const frozen = stored.map((each, i) => quantized(`w${i}`, { ...each, transposed: false }))
  expect(frozenFeeds(frozen)["w1.packed"]).toBe(stored[1]!.packed)
  const { graph } = await valuesOf(frozen)
  expect(graph.initializers.filter(({ data }) => data.length === 512).length).toBe(1)
  expect(graph.initializers.filter(({ data }) => data.length === 256).length).toBe(1)
})
