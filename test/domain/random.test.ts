// The counter-based generator: known answers of Philox, moments, permutations.
import { describe, expect, test } from "vitest"
import { hash32, normal, permutation, philox, uniform } from "#src/domain/random.ts"

const hex = (words: Uint32Array) => [...words].map((word) => word.toString(16).padStart(8, "0")).join(" ")

describe("random", () => {
  test("Philox4x32-10 gives the known answers of Random123", () => {
    const all = 0xffff_ffff
    expect(hex(philox(0, 0, 0, 0, 0, 0))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8")
    expect(hex(philox(all, all, all, all, all, all))).toBe("408f276d 41c83b0e a20bc7c6 6d5451fd")
    expect(hex(philox(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0))).toBe("d16cfe09 94fdcceb 5001e420 24126ea1")
  })

  test("uniform and normal have the moments of their distributions", () => {
    const n = 20_000
    const moments = (draw: (i: number) => number) => {
      const values = Array.from({ length: n }, (_, i) => draw(i))
      const mean = values.reduce((sum, x) => sum + x, 0) / n
      return { mean, variance: values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n, min: Math.min(...values), max: Math.max(...values) }
    }
    const u = moments((i) => uniform(7, 3, i))
    expect(u.mean).toBeCloseTo(0.5, 2)
    expect(u.variance).toBeCloseTo(1 / 12, 2)
    expect(u.min).toBeGreaterThanOrEqual(0)
    expect(u.max).toBeLessThan(1)
    const z = moments((i) => normal(7, 3, i))
    expect(Math.abs(z.mean)).toBeLessThan(0.03)
    expect(Math.abs(z.variance - 1)).toBeLessThan(0.04)
  })

  test("seed, stream and every bit of the index matter", () => {
    const draws = [uniform(1, 2, 3), uniform(2, 2, 3), uniform(1, 3, 3), uniform(1, 2, 4), uniform(1, 2, 3 + 2 ** 32)]
    expect(new Set(draws).size).toBe(draws.length)
  })

  test("hash32 tells paths apart", () => {
    const hashes = [hash32(1), hash32(1, 0), hash32(1, 0, 0), hash32(1, "a", "b"), hash32(1, "ab"), hash32(1, "b", "a"), hash32(2, "ab")]
    expect(new Set(hashes).size).toBe(hashes.length)
    expect(hashes.every((hash) => Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32)).toBe(true)
  })

  test("permutation holds each item once and differs by stream", () => {
    const order = permutation(5, 1, 1000)
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
    expect(order).not.toEqual(permutation(5, 2, 1000))
    expect(order).toEqual(permutation(5, 1, 1000))
  })
})
