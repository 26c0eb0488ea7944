// Figures over rows, against the reference perplexity and against small cases worked out by hand.
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { uniform } from "#src/domain/random.ts"
import { pairedInterval } from "#src/metrics/bootstrap.ts"
import { exactMatch } from "#src/metrics/exactMatch.ts"
import { figures, type PairedParts, sum } from "#src/metrics/figures.ts"
import { bitsPerByte, perplexity } from "#src/metrics/perplexity.ts"
import { hasShared, shared } from "../shared.ts"

interface Reference {
  readonly token_nll: readonly (readonly number[])[]
  readonly tokens: number
  readonly perplexity: number
  readonly bits_per_byte: { readonly bytes: number; readonly sum_nll: number; readonly bits_per_byte: number }
}

describe("perplexity", () => {
  test.skipIf(!hasShared)("is the reference's, and not a mean over rows", () => {
    const reference = JSON.parse(readFileSync(shared("parity", "metrics/perplexity.json"), "utf8")) as Reference
    const nll = reference.token_nll.map(sum)
    const tokens = reference.token_nll.map((row) => row.length)
    expect(sum(tokens)).toBe(reference.tokens)
    expect(perplexity(sum(nll), sum(tokens)) / reference.perplexity).toBeCloseTo(1, 7)
    const { bytes, sum_nll, bits_per_byte } = reference.bits_per_byte
    expect(bitsPerByte(sum_nll, bytes) / bits_per_byte).toBeCloseTo(1, 12)
  })

  test("weighs tokens, not batches", () => {
    expect(figures.perplexity.of(4 + 9, 10)).toBeCloseTo(Math.exp(1.3), 12)
  })

  test("has no value without tokens", () => {
    expect(perplexity(0, 0)).toBeNaN()
  })
})

test("exact match ignores space around the texts only", () => {
  expect(exactMatch(" 2024-05-01\n", "2024-05-01")).toBe(true)
  expect(exactMatch("May", "may")).toBe(false)
  expect(exactMatch("a  b", "a b")).toBe(false)
})

describe("paired bootstrap", () => {
  const rows = 200
  const ones = Array.from({ length: rows }, () => 1)
  const base = Array.from({ length: rows }, (_, i) => (uniform(1, 0, i) < 0.5 ? 1 : 0))

  test("a difference that is the same in every row has an interval of one point", () => {
    const parts: PairedParts = { baseline: base, model: base.map((hit) => hit + 0.25), whole: ones }
    const interval = pairedInterval(figures.exactMatch, parts, { seed: 1 })
    expect(interval?.low).toBeCloseTo(0.25, 12)
    expect(interval?.high).toBeCloseTo(0.25, 12)
  })

  test("its width is that of the normal approximation", () => {
    const model = Array.from({ length: rows }, (_, i) => (uniform(2, 0, i) < 0.5 ? 1 : 0))
    const interval = pairedInterval(figures.exactMatch, { baseline: base, model, whole: ones }, { seed: 3, resamples: 4000 })
    const differences = model.map((hit, i) => hit - (base[i] as number))
    const mean = sum(differences) / rows
    const deviation = Math.sqrt(sum(differences.map((d) => (d - mean) ** 2)) / rows)
    const half = (1.96 * deviation) / Math.sqrt(rows)
    expect(Math.abs((interval?.low as number) - (mean - half))).toBeLessThan(0.1 * half)
    expect(Math.abs((interval?.high as number) - (mean + half))).toBeLessThan(0.1 * half)
  })

  test("the same seed gives the same interval, another seed another", () => {
    const model = base.map((hit, i) => (i % 3 === 0 ? 1 - hit : hit))
    const parts = { baseline: base, model, whole: ones }
    const of = (seed: number) => pairedInterval(figures.exactMatch, parts, { seed })
    expect(of(5)).toEqual(of(5))
    expect(of(5)).not.toEqual(of(6))
  })

  test("no rows, no interval", () => {
    expect(pairedInterval(figures.perplexity, { model: [], baseline: [], whole: [] }, { seed: 1 })).toBeUndefined()
  })
})
