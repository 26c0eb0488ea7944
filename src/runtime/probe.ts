// A look at what a model computes: its logits over a few fixed tokens, to compare two forms of one model.
import { Graph } from "#src/graph/Graph.ts"
import { buildRunnable } from "./buildRunnable.ts"
import { frozenFeeds } from "./Frozen.ts"
import type { Runnable } from "./RunnableModel.ts"
import { openSession } from "./openSession.ts"

const probeLength = 12

/** So many ids spread evenly over the vocabulary. */
const probeIds = (vocabSize: number): BigInt64Array =>
  BigInt64Array.from({ length: probeLength }, (_, i) => BigInt(Math.floor(((i + 0.5) * vocabSize) / probeLength)))

/** Logits [tokens, vocab_size] of the probe. */
export const probeLogits = async (runnable: Runnable, threads: number): Promise<Float32Array> => {
  const graph = new Graph()
  const inputIds = graph.input("ids", "int64", [1, probeLength])
  graph.output("logits", buildRunnable(graph, runnable, { inputIds }).logits)
  const session = await openSession(graph, { threads })
  try {
    const feeds = { ...frozenFeeds(runnable.parameters), ids: probeIds(runnable.model.vocabSize) }
    const { logits } = await session.run(feeds, ["logits"])
    return logits as Float32Array
  } finally {
    await session.release()
  }
}

export interface ProbeDifference {
  /** Largest distance of two logits at one place. */
  readonly largest: number
  /** Tokens of the probe, and how many of them the two models would continue with the same token. */
  readonly tokens: number
  readonly sameChoice: number
}

export const probeDifference = (a: Float32Array, b: Float32Array, vocabSize: number): ProbeDifference => {
  const tokens = a.length / vocabSize
  const choice = (logits: Float32Array, token: number): number => {
    const row = logits.subarray(token * vocabSize, (token + 1) * vocabSize)
    return row.reduce((best, x, i) => (x > (row[best] as number) ? i : best), 0)
  }
  return {
    largest: a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] as number))), 0),
    tokens,
    sameChoice: Array.from({ length: tokens }, (_, token) => token).filter((token) => choice(a, token) === choice(b, token)).length
  }
}
