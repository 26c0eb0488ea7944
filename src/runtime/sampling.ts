// From logits to the next token: transformers' logits processors in the order in which its generate() applies them
// (generation/logits_process.py), then greedy choice or a draw. A removed token has the logit -Infinity.
import { uniform } from "#src/domain/random.ts"

export interface Sampling {
  /** Above 0; below 1 makes likely tokens likelier. Default 1. */
  readonly temperature?: number | undefined
  /** Only the so many likeliest tokens. */
  readonly topK?: number | undefined
  /** Only the likeliest tokens that together reach this probability. */
  readonly topP?: number | undefined
  /** Unsigned 32-bit: the same seed gives the same draws. */
  readonly seed: number
}

export interface Choice {
  /** Above 1 makes tokens of the text so far less likely, in greedy choice too. Default 1. */
  readonly repetitionPenalty?: number | undefined
  /** Without it the likeliest token is taken. */
  readonly sampling?: Sampling | undefined
}

/** Logits of tokens that occur in `previous` are divided by the penalty where positive, multiplied where negative; once per token. */
export const penalizeRepetition = (logits: Float32Array, previous: readonly number[], penalty: number): void => {
  for (const id of new Set(previous)) {
    const logit = logits[id] as number
    logits[id] = logit < 0 ? logit * penalty : logit / penalty
  }
}

export const applyTemperature = (logits: Float32Array, temperature: number): void => {
  for (let i = 0; i < logits.length; i++) logits[i] = (logits[i] as number) / temperature
}

/** Removes what is below the k-th highest logit; ties with it stay. */
export const keepTopK = (logits: Float32Array, k: number): void => {
  const least = logits.toSorted().at(-Math.min(Math.max(1, k), logits.length)) as number
  for (let i = 0; i < logits.length; i++) if ((logits[i] as number) < least) logits[i] = -Infinity
}

/** Removes, from the least likely token up, what adds up to at most 1 - p; the likeliest token always stays. */
export const keepTopP = (logits: Float32Array, p: number): void => {
  const probabilities = softmax(logits)
  const ascending = [...logits.keys()].filter((i) => logits[i] !== -Infinity).sort((a, b) => (logits[a] as number) - (logits[b] as number))
  let sum = 0
  for (const i of ascending.slice(0, -1)) {
    sum += probabilities[i] as number
    if (sum > 1 - p) return
    logits[i] = -Infinity
  }
}

export const softmax = (logits: Float32Array): Float64Array => {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity)
  const weights = Float64Array.from(logits, (logit) => Math.exp(logit - most))
  const total = weights.reduce((a, b) => a + b, 0)
  return weights.map((weight) => weight / total)
}

/** The first of the highest. */
const argmax = (logits: Float32Array): number => {
  let best = 0
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[best] as number)) best = i
  return best
}

/** The token at which the cumulated probability first passes `u` in [0, 1). */
const draw = (logits: Float32Array, u: number): number => {
  const probabilities = softmax(logits)
  let last = 0
  let sum = 0
  for (let i = 0; i < probabilities.length; i++) {
    if (probabilities[i] === 0) continue
    last = i
    sum += probabilities[i] as number
    if (u < sum) return i
  }
  return last
}

/**
 * The next token of row `row` after the ids `previous` (prompt and answer so far). Changes `logits`. The draw depends on the
 * seed, the row and the number of previous ids only.
 */
export const chooseToken = (logits: Float32Array, previous: readonly number[], row: number, choice: Choice): number => {
  const { repetitionPenalty = 1, sampling } = choice
  if (repetitionPenalty !== 1) penalizeRepetition(logits, previous, repetitionPenalty)
  if (sampling === undefined) return argmax(logits)
  const { temperature = 1, topK, topP, seed } = sampling
  if (temperature !== 1) applyTemperature(logits, temperature)
  if (topK !== undefined) keepTopK(logits, topK)
  if (topP !== undefined && topP < 1) keepTopP(logits, topP)
  return draw(logits, uniform(seed, row, previous.length))
}
