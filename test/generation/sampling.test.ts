// The next token from logits: each filter, alone and chained, against transformers' processors.
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { applyTemperature, chooseToken, keepTopK, keepTopP, penalizeRepetition, softmax } from "#src/runtime/sampling.ts"
import { hasShared, shared } from "../shared.ts"

type Logits = readonly (number | null)[]

interface Filters {
  readonly previous_ids: readonly number[]
  readonly logits: readonly number[]
  readonly temperature: number
  readonly top_k: number
  readonly top_p: number
  readonly rep: number
  readonly alone: Readonly<Record<"temperature" | "top_k" | "top_p" | "repetition_penalty", Logits>>
  readonly chained: { readonly after_each: readonly { readonly processor: string; readonly logits: Logits }[] }
}

describe.skipIf(!hasShared)("filters agree with transformers", () => {
  const f = (hasShared ? JSON.parse(readFileSync(shared("parity", "generation/filters.json"), "utf8")) : {}) as Filters
  const filters: Readonly<Record<keyof Filters["alone"], (logits: Float32Array) => void>> = {
    repetition_penalty: (logits) => penalizeRepetition(logits, f.previous_ids, f.rep),
    temperature: (logits) => applyTemperature(logits, f.temperature),
    top_k: (logits) => keepTopK(logits, f.top_k),
    top_p: (logits) => keepTopP(logits, f.top_p)
  }
  const expectSame = (found: Float32Array, wanted: Logits): void => {
    expect([...found].map((logit) => logit === -Infinity)).toEqual(wanted.map((logit) => logit === null))
    found.forEach((logit, i) => wanted[i] !== null && expect(logit).toBeCloseTo(wanted[i] as number, 5))
  }

  test.for(["temperature", "top_k", "top_p", "repetition_penalty"] as const)("%s alone", (name) => {
    const logits = Float32Array.from(f.logits)
    filters[name](logits)
    expectSame(logits, f.alone[name])
  })

  test("chained in the order of generate()", () => {
    const logits = Float32Array.from(f.logits)
    const names = ["repetition_penalty", "temperature", "top_k", "top_p"] as const
    names.forEach((name, i) => {
      filters[name](logits)
      expectSame(logits, (f.chained.after_each[i] as { readonly logits: Logits }).logits)
    })
  })

  test("tokens are drawn as often as the chain's probabilities say", () => {
    const choice = { repetitionPenalty: f.rep, sampling: { temperature: f.temperature, topK: f.top_k, topP: f.top_p, seed: 7 } }
    const wanted = softmax(
      Float32Array.from((f.chained.after_each[3] as { readonly logits: Logits }).logits, (logit) => logit ?? -Infinity)
    )
    const draws = 20_000
    const counts = new Float64Array(wanted.length)
    for (let row = 0; row < draws; row++) {
      const id = chooseToken(Float32Array.from(f.logits), f.previous_ids, row, choice)
      counts[id] = (counts[id] as number) + 1
    }
    // Five standard deviations of a binomial count.
    wanted.forEach((p, id) => {
      expect(Math.abs((counts[id] as number) / draws - p)).toBeLessThanOrEqual(5 * Math.sqrt((p * (1 - p)) / draws))
    })
  })
})

test("greedy takes the first of the highest", () => {
  expect(chooseToken(Float32Array.of(1, 3, 3, 2), [], 0, {})).toBe(1)
})

test("a draw depends on the seed, the row and the place, not on the order of calls", () => {
  const logits = () => Float32Array.from({ length: 100 }, (_, i) => Math.sin(i))
  const at = (seed: number, row: number, place: number) =>
    chooseToken(
      logits(),
      Array.from({ length: place }, () => 0),
      row,
      { sampling: { seed } }
    )
  const forward = Array.from({ length: 20 }, (_, place) => at(1, 0, place))
  const backward = Array.from({ length: 20 }, (_, i) => at(1, 0, 19 - i)).toReversed()
  expect(backward).toEqual(forward)
  expect(Array.from({ length: 20 }, (_, place) => at(2, 0, place))).not.toEqual(forward)
  expect(Array.from({ length: 20 }, (_, place) => at(1, 1, place))).not.toEqual(forward)
})

test("topK keeps ties; topP always keeps one", () => {
  const ties = Float32Array.of(2, 1, 2, 0)
  keepTopK(ties, 1)
  expect([...ties]).toEqual([2, -Infinity, 2, -Infinity])
  const sharp = Float32Array.of(0, 9, 0)
  keepTopP(sharp, 0.0001)
  expect([...sharp]).toEqual([-Infinity, 9, -Infinity])
})
