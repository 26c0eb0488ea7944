// Gradients of whole graphs against central differences: a transformer block and random chains of ops.
import { describe, test } from "vitest"
import { crossEntropy } from "#src/graph/loss.ts"
import * as e from "#src/graph/ops/elementwise.ts"
import { gather } from "#src/graph/ops/index.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import * as nn from "#src/graph/ops/nn.ts"
import { concat, reshape, slice, transpose } from "#src/graph/ops/shape.ts"
import type { Value } from "#src/graph/Value.ts"
import { checkGrads, ids, random } from "./checkGrads.ts"
import type { GradCase } from "./checkGrads.ts"

/** One block of a Llama: a chain of matmuls with residuals, attention with grouped keys, a gated MLP, a tied head. */
const block = (shapes: {
  readonly B: number
  readonly T: number
  readonly H: number
  readonly KV: number
  readonly hd: number
}): GradCase => {
  const { B, T, H, KV, hd } = shapes
  const [D, F, V] = [H * hd, 5, 6]
  return {
    name: `transformer block ${JSON.stringify(shapes)}`,
    shapes: [[V, D], [D], [D, D], [KV * hd, D], [KV * hd, D], [D, D], [F, D], [F, D], [D, F]],
    build: ([embed, scale, q, k, v, o, gate, up, down], graph) => {
      const linear = (x: Value, w: Value) => matMul(x, w, { transB: true })
      const tokens = Array.from({ length: B * T }, (_, i) => (i * 5) % V)
      const x = gather(embed!, ids(graph, tokens))
      const normed = nn.rmsNorm(x, scale!, 1e-3)
      const heads = (y: Value, count: number) => transpose(reshape(y, [B, T, count, hd]), [0, 2, 1, 3])
      const queries = reshape(heads(linear(normed, q!), H), [B, KV, (H / KV) * T, hd])
      const mask = graph.constant(
        Float64Array.from({ length: T * T }, (_, i) => (i % T > Math.floor(i / T) ? -1e9 : 0)),
        "float64",
        [T, T]
      )
      const scores = matMul(queries, heads(linear(normed, k!), KV), { transB: true, alpha: 0.5 })
      const weights = nn.softmax(e.add(reshape(scores, [B, H, T, T]), mask))
      const mixed = matMul(reshape(weights, [B, KV, (H / KV) * T, T]), heads(linear(normed, v!), KV))
      const joined = reshape(transpose(reshape(mixed, [B, H, T, hd]), [0, 2, 1, 3]), [B * T, D])
      const h = e.add(x, linear(joined, o!))
      const y = e.add(h, linear(e.mul(nn.silu(linear(h, gate!)), linear(h, up!)), down!))
      const logits = linear(nn.rmsNorm(y, scale!, 1e-3), embed!)
      return crossEntropy(logits, ids(graph, tokens.toReversed()), graph.constant(1, "float64", [B * T])).sum
    }
  }
}

/** A random chain of ops over [3,4] values that are used more than once. */
const chain = (seed: number): GradCase => ({
  name: `random graph, seed ${seed}`,
  shapes: [[3, 4], [4, 4], [4]],
  build: ([x, w, b]) => {
    const next = random(seed, 0, 1)
    const values = [x!]
    const pick = () => values[Math.floor(next() * values.length)]!
    const steps: readonly (() => Value)[] = [
      () => e.add(pick(), pick()),
      () => e.mul(pick(), e.sigmoid(pick())),
      () => e.tanh(e.sub(pick(), b!)),
      () => matMul(pick(), w!, { transB: next() < 0.5 }),
      () => nn.softmax(pick(), next() < 0.5 ? 0 : 1),
      () => nn.rmsNorm(pick(), b!, 1e-2),
      () => concat([slice(pick(), 1, 2, 4), slice(pick(), 1, 0, 2)], 1),
      () => transpose(reshape(pick(), [4, 3]))
    ]
    for (let i = 0; i < 12; i++) values.push(steps[Math.floor(next() * steps.length)]!())
    return [values.at(-1)!, e.mul(pick(), b!), matMul(pick(), w!)]
  }
})

describe("gradients of composed graphs agree with central differences", () => {
  test.each([
    block({ B: 1, T: 3, H: 2, KV: 2, hd: 4 }),
    block({ B: 2, T: 3, H: 4, KV: 2, hd: 2 }),
    ...Array.from({ length: 12 }, (_, i) => chain(i + 1))
  ])("$name", async (each) => {
    await checkGrads(each)
  })
})
