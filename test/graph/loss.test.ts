// The smoothed loss against the sums of transformers' LabelSmoother, written out.
import { expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import { random } from "./checkGrads.ts"
import { runGraph } from "./runGraph.ts"

test("smoothed labels: (1 - e) nll + e times the mean of -log p, over the counted positions", async () => {
  const [M, V, smoothing] = [6, 11, 0.1]
  const targets = [3, 0, 10, 7, 7, 1]
  const weights = [1, 1, 0, 1, 0, 1]
  const logits = Float64Array.from({ length: M * V }, random(3, -8, 8))
  const graph = new Graph()
  const target = graph.constant(BigInt64Array.from(targets, BigInt), "int64", [M])
  const weight = graph.constant(Float64Array.from(weights), "float64", [M])
  const { sum, tokenNll } = crossEntropy(graph.input("logits", "float64", [M, V]), target, weight, smoothing)
  graph.output("sum", sum)
  graph.output("nll", tokenNll)
  const result = await runGraph(graph, { logits })

  const logProbabilities = targets.map((_, m) => {
    const row = [...logits.subarray(m * V, (m + 1) * V)]
    const total = Math.log(row.reduce((all, x) => all + Math.exp(x), 0))
    return row.map((x) => x - total)
  })
  const nll = logProbabilities.map((row, m) => -row[targets[m]!]!)
  const smoothed = logProbabilities.map((row) => -row.reduce((all, x) => all + x, 0) / V)
  const counted = (of: readonly number[]): number => of.reduce((all, x, m) => all + x * weights[m]!, 0)
  expect(Number(result["sum"]![0])).toBeCloseTo((1 - smoothing) * counted(nll) + smoothing * counted(smoothed), 10)
  nll.forEach((x, m) => expect(Number(result["nll"]![m])).toBeCloseTo(x, 10))
})
