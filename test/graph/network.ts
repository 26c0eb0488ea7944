// A Llama-shaped training graph made of graph ops alone, for tests of ordering, memory and determinism.
import { gradients } from "#src/graph/autodiff.ts"
import { Graph } from "#src/graph/Graph.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import { add, mul } from "#src/graph/ops/elementwise.ts"
import { gather } from "#src/graph/ops/index.ts"
import { matMul } from "#src/graph/ops/matmul.ts"
import * as nn from "#src/graph/ops/nn.ts"
import { reshape, transpose } from "#src/graph/ops/shape.ts"
import { sizeOf } from "#src/graph/Type.ts"
import type { Shape, TypedArray } from "#src/graph/Type.ts"
import type { Value } from "#src/graph/Value.ts"
import { random } from "./checkGrads.ts"

export interface Network {
  readonly vocab: number
  readonly width: number
  readonly layers: number
  readonly heads: number
  readonly inner: number
  readonly batch: number
  readonly length: number
  readonly tied: boolean
}

/** Outputs loss, tokenNll and one gradient a parameter; inputs ids, targets, weights and the parameters. */
export const network = ({ vocab, width, layers, heads, inner, batch, length, tied }: Network): Graph => {
  const graph = new Graph()
  const rows = batch * length
  const hd = width / heads
  const inputs = graph.input("ids", "int64", [rows])
  const targets = graph.input("targets", "int64", [rows])
  const weights = graph.input("weights", "float32", [rows])
  const parameters: Value[] = []
  const parameter = (name: string, ...shape: Shape): Value => {
    const value = graph.input(name, "float32", shape)
    parameters.push(value)
    return value
  }
  const linear = (x: Value, w: Value) => matMul(x, w, { transB: true })
  const angles = Array.from({ length: (length * hd) / 2 }, (_, i) => Math.floor(i / (hd / 2)) / 10000 ** ((i % (hd / 2)) / (hd / 2)))
  const cos = graph.constant(Float32Array.from(angles, Math.cos), "float32", [length, hd / 2])
  const sin = graph.constant(Float32Array.from(angles, Math.sin), "float32", [length, hd / 2])
  const positions = graph.constant(
    BigInt64Array.from({ length: rows }, (_, i) => BigInt(i % length)),
    "int64",
    [batch, length]
  )
  const bias = Float32Array.from({ length: length * length }, (_, i) => (i % length > Math.floor(i / length) ? -1e9 : 0))
  const mask = graph.constant(bias, "float32", [length, length])
  const split = (x: Value) => transpose(reshape(x, [batch, length, heads, hd]), [0, 2, 1, 3])
  const rotate = (x: Value) => nn.rotaryEmbedding(split(x), positions, cos, sin)

  const embed = parameter("embed", vocab, width)
  let x = gather(embed, inputs)
  for (let i = 0; i < layers; i++) {
    const p = (name: string, ...shape: Shape) => parameter(`${i}.${name}`, ...shape)
    const h = nn.rmsNorm(x, p("norm1", width), 1e-5)
    const [q, k, v] = ["q", "k", "v"].map((name) => linear(h, p(name, width, width))) as [Value, Value, Value]
    const scores = add(matMul(rotate(q), rotate(k), { transB: true, alpha: 1 / Math.sqrt(hd) }), mask)
    const mixed = reshape(transpose(matMul(nn.softmax(scores), split(v)), [0, 2, 1, 3]), [rows, width])
    x = add(x, linear(mixed, p("o", width, width)))
    const m = nn.rmsNorm(x, p("norm2", width), 1e-5)
    const gated = mul(nn.silu(linear(m, p("gate", inner, width))), linear(m, p("up", inner, width)))
    x = add(x, linear(gated, p("down", width, inner)))
  }
  const final = nn.rmsNorm(x, parameter("norm", width), 1e-5)
  const logits = linear(final, tied ? embed : parameter("head", vocab, width))
  const loss = crossEntropy(logits, targets, weights)
  graph.output("loss", loss.sum)
  graph.output("tokenNll", loss.tokenNll)
  for (const [i, g] of gradients(loss.sum, parameters).entries()) graph.output(`grad/${parameters[i]!.name}`, g)
  return graph
}

/** Random tokens and weights of a graph made above. */
export const networkFeeds = (graph: Graph, vocab: number): Record<string, TypedArray> => {
  const next = random(7)
  const ids = (size: number) => BigInt64Array.from({ length: size }, () => BigInt(Math.floor(((next() + 1) / 2) * vocab)))
  return Object.fromEntries(
    graph.inputs.map((input): [string, TypedArray] => {
      const size = sizeOf(input.shape)
      if (input.dtype === "int64") return [input.name, ids(size)]
      if (input.name === "weights") return [input.name, new Float32Array(size).fill(1 / size)]
      if (input.shape.length === 1) return [input.name, new Float32Array(size).fill(1)]
      return [input.name, new Float32Array(size).map(() => next() / Math.sqrt(input.shape[1]!))]
    })
  )
}
