// Every op with a gradient rule against central differences, over plain, broadcast, batched and transposed shapes.
import { describe, expect, test } from "vitest"
import type { Graph } from "#src/graph/Graph.ts"
import { opNames } from "#src/graph/infer.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import * as e from "#src/graph/ops/elementwise.ts"
import { gather, gatherElements, scatterElements } from "#src/graph/ops/index.ts"
import { matMul, matMulAdd } from "#src/graph/ops/matmul.ts"
import * as nn from "#src/graph/ops/nn.ts"
import { reduceMax, reduceMean, reduceSum } from "#src/graph/ops/reduce.ts"
import { concat, expand, reshape, slice, split, transpose } from "#src/graph/ops/shape.ts"
import { rules } from "#src/graph/rules.ts"
import type { Shape } from "#src/graph/Type.ts"
import type { Value } from "#src/graph/Value.ts"
import { checkGrads, ids, random } from "./checkGrads.ts"
import type { GradCase } from "./checkGrads.ts"

const pairs: readonly (readonly [Shape, Shape])[] = [
  [
    [2, 3],
    [2, 3]
  ],
  [[2, 3], [3]],
  [
    [2, 1, 3],
    [4, 1]
  ],
  [[], [2, 2]]
]
const shown = (shapes: readonly Shape[]) => shapes.map((shape) => `[${shape.join(",")}]`).join(" ")

const vectors: readonly Shape[] = [[5], [2, 3, 2]]
const unary = (
  name: string,
  op: (x: Value) => Value,
  options: Partial<GradCase> = {},
  shapes: readonly Shape[] = [[], ...vectors]
): GradCase[] => shapes.map((shape) => ({ name: `${name} ${shown([shape])}`, shapes: [shape], build: ([x]) => op(x!), ...options }))

const binary = (name: string, op: (a: Value, b: Value) => Value, options: Partial<GradCase> = {}): GradCase[] =>
  pairs.map((shapes) => ({ name: `${name} ${shown(shapes)}`, shapes, build: ([a, b]) => op(a!, b!), ...options }))

const one = (name: string, shape: Shape, op: (x: Value, graph: Graph) => Value | readonly Value[]): GradCase => ({
  name: `${name} ${shown([shape])}`,
  shapes: [shape],
  build: ([x], graph) => op(x!, graph)
})

const positive = { range: [0.5, 2] } as const
/** No float64 kernel on CPU: central differences of float32 losses are good for three digits. */
const single = { dtype: "float32", bound: 5e-3 } as const

const matMuls: GradCase[] = [
  [
    [2, 3],
    [3, 4]
  ],
  [
    [5, 2, 3],
    [3, 4]
  ],
  [
    [2, 5, 2, 3],
    [2, 5, 3, 4]
  ],
  [
    [2, 1, 2, 3],
    [5, 3, 4]
  ]
].flatMap(([a, b]) =>
  [false, true].flatMap((transA) =>
    [false, true].map((transB): GradCase => {
      const turn = (shape: Shape, flag: boolean) => (flag ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : shape)
      const shapes = [turn(a!, transA), turn(b!, transB)]
      const flags = `${transA ? "A'" : "A"} ${transB ? "B'" : "B"}`
      // 0.5 is exact in the attribute's float32.
      return { name: `matMul ${flags} ${shown(shapes)}`, shapes, build: ([x, y]) => matMul(x!, y!, { transA, transB, alpha: 0.5 }) }
    })
  )
)

const rotary = (options: Partial<GradCase>): GradCase => ({
  name: `rotaryEmbedding ${options.dtype ?? "float64"}`,
  shapes: [[2, 3, 4, 6]],
  build: ([x], graph) => {
    const angles = Float64Array.from({ length: 15 }, random(3))
    const table = (f: (angle: number) => number) =>
      graph.constant(x!.dtype === "float32" ? Float32Array.from(angles, f) : angles.map(f), x!.dtype, [5, 3])
    return nn.rotaryEmbedding(x!, ids(graph, [0, 1, 2, 3, 1, 2, 3, 4], [2, 4]), table(Math.cos), table(Math.sin))
  },
  ...options
})

const cases: readonly GradCase[] = [
  ...binary("add", e.add),
  ...binary("sub", e.sub),
  ...binary("mul", e.mul),
  ...binary("div", e.div, positive),
  ...unary("neg", e.neg),
  ...unary("exp", e.exp),
  ...unary("log", e.log, positive),
  ...unary("sqrt", e.sqrt, positive),
  ...unary("reciprocal", e.reciprocal, positive),
  ...unary("sigmoid", e.sigmoid),
  ...unary("tanh", e.tanh),
  ...unary("erf", e.erf, single),
  ...unary("identity", e.identity),
  ...unary("silu", nn.silu),
  ...unary("silu float32", nn.silu, single),
  ...unary("gelu", (x) => nn.gelu(x), single, vectors),
  ...unary("gelu tanh", (x) => nn.gelu(x, "tanh"), single, vectors),
  ...unary("cast", (x) => e.cast(e.cast(x, "float32"), x.dtype), { bound: 1e-2 }),
  ...binary("where", (a, b) => e.where(e.less(a, b), e.mul(a, b), e.add(a, b))),
  ...matMuls,
  ...[false, true].flatMap((transA) =>
    [false, true].map((transB): GradCase => ({
      name: `matMulAdd ${transA} ${transB}`,
      shapes: [transA ? [3, 2] : [2, 3], transB ? [4, 3] : [3, 4], [2, 4]],
      build: ([a, b, c]) => matMulAdd(a!, b!, c!, { transA, transB })
    }))
  ),
  {
    name: "after",
    shapes: [
      [2, 3],
      [4, 1, 2]
    ],
    build: ([x, first]) => [e.after(x!, e.exp(first!)), e.after(e.mul(x!, x!), reduceSum(first!))]
  },
  one("reshape", [2, 6], (x) => reshape(x, [3, -1])),
  one("expand", [2, 1, 3], (x) => expand(x, [4, 2, 5, 3])),
  one("transpose", [2, 3, 4], (x) => transpose(x, [2, 0, 1])),
  {
    name: "concat",
    shapes: [
      [2, 3],
      [2, 1],
      [2, 2]
    ],
    build: (inputs) => concat(inputs, -1)
  },
  one("split", [6, 2], (x) => split(x, [1, 2, 3], 0)),
  one("split, one part unused", [6, 2], (x) => split(x, [1, 2, 3], 0).slice(0, 2)),
  one("slice", [5, 3], (x) => [slice(x, 0, 1, 3), slice(x, 0, 0, 2), slice(x, -1, 2, 3)]),
  ...[{}, { axes: [1] }, { axes: [0, -1], keepdims: true }].flatMap((options) => [
    one(`reduceSum ${JSON.stringify(options)}`, [2, 3, 4], (x) => reduceSum(x, options)),
    one(`reduceMean ${JSON.stringify(options)}`, [2, 3, 4], (x) => reduceMean(x, options)),
    one(`reduceMax ${JSON.stringify(options)}`, [2, 3, 4], (x) => reduceMax(x, options))
  ]),
  one("gather", [5, 3], (x, graph) => gather(x, ids(graph, [1, 4, 1, 0]))),
  one("gather, index of 32 bits", [5, 3], (x, graph) => gather(x, e.cast(ids(graph, [1, 4, 1, 0]), "int32"))),
  one("gather, index of two dimensions, axis 1", [2, 4, 3], (x, graph) => gather(x, ids(graph, [1, 3, 1, 0, 2, 1], [2, 3]), { axis: 1 })),
  one("gather twice from one table", [5, 3], (x, graph) => [gather(x, ids(graph, [1, 4])), e.mul(x, x), gather(x, ids(graph, [4, 0]))]),
  one("gatherElements", [3, 4], (x, graph) => gatherElements(x, ids(graph, [0, 3, 3, 1, 2, 0], [3, 2]), 1)),
  ...(["none", "add"] as const).map((reduction): GradCase => ({
    name: `scatterElements ${reduction}`,
    shapes: [
      [3, 4],
      [2, 4]
    ],
    build: ([data, updates], graph) => scatterElements(data!, ids(graph, [0, 1, 2, 0, 2, 0, 1, 1], [2, 4]), updates!, 0, reduction)
  })),
  {
    name: "scatterElements, an index repeated",
    shapes: [[3], [4]],
    build: ([x, y], graph) => scatterElements(x!, ids(graph, [1, 1, 0, 1]), y!, 0, "add")
  },
  one("softmax", [2, 3, 4], (x) => nn.softmax(x)),
  one("softmax axis 1", [2, 3, 4], (x) => nn.softmax(x, 1)),
  one("logSoftmax", [2, 3, 4], (x) => nn.logSoftmax(x)),
  { name: "rmsNorm [2,3,4]", shapes: [[2, 3, 4], [4]], build: ([x, w]) => nn.rmsNorm(x!, w!, 1e-5) },
  { name: "rmsNorm [3,5]", shapes: [[3, 5], [5]], build: ([x, w]) => nn.rmsNorm(x!, w!, 1e-2) },
  { name: "rmsNorm float32", shapes: [[3, 5], [5]], build: ([x, w]) => nn.rmsNorm(x!, w!, 1e-5), ...single },
  { name: "layerNorm [2,3,4]", shapes: [[2, 3, 4], [4], [4]], build: ([x, w, b]) => nn.layerNorm(x!, w!, b!, 1e-5) },
  { name: "layerNorm [3,5]", shapes: [[3, 5], [5], [5]], build: ([x, w, b]) => nn.layerNorm(x!, w!, b!, 1e-2) },
  { name: "layerNorm float32", shapes: [[3, 5], [5], [5]], build: ([x, w, b]) => nn.layerNorm(x!, w!, b!, 1e-5), ...single },
  rotary({}),
  rotary(single),
  {
    name: "crossEntropy",
    shapes: [[4, 5]],
    build: ([logits], graph) => {
      const loss = crossEntropy(logits!, ids(graph, [2, 0, 4, 2]), graph.constant(Float64Array.of(1, 0.5, 0, 2), "float64", [4]))
      return [loss.sum, loss.tokenNll]
    }
  },
  {
    name: "crossEntropy with smoothed labels",
    shapes: [[4, 5]],
    build: ([logits], graph) =>
      crossEntropy(logits!, ids(graph, [2, 0, 4, 2]), graph.constant(Float64Array.of(1, 0.5, 0, 2), "float64", [4]), 0.2).sum
  }
]

const covered = new Set<string>()

describe("gradients agree with central differences", () => {
  test.each(cases)("$name", async (each) => {
    for (const op of await checkGrads(each)) covered.add(op)
  })

  test("every op with a rule has a case", () => {
    expect(opNames.filter((op) => rules[op] !== "none" && !covered.has(op))).toEqual([])
  })
})
