// The SIMD kernels give exactly the bytes of the reference arithmetic in graph/optimizer.ts rounded to float32.
import { describe, expect, test } from "vitest"
import { adamw, adamwFactors, sumSquares } from "#src/graph/optimizer.ts"
import { ParamStore } from "#src/runtime/ParamStore.ts"
import { sharedArrays, type ArrayGroup } from "#src/runtime/SharedArrays.ts"

/** Numbers of very different sizes and both signs. */
const numbers = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(seed + i * 12.9898) * 10 ** (((i * 7 + seed) % 9) - 5))

const options = { learningRate: 3e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 }
const sizes = [1, 3, 4, 5, 16, 37, 1000]

describe("AdamW", () => {
  test("three clipped steps over odd sizes equal the reference in float32, byte by byte", () => {
    const store = new ParamStore(
      sizes.map((n, i) => ({ name: `t${i}`, shape: [n], decay: i % 2 === 0 })),
      false
    )
    const expected = store.trainables.map(({ p }, i) => {
      p.set(numbers(p.length, i))
      return Array.from(p, (x) => ({ p: x, m: 0, v: 0 }))
    })
    for (let t = 1; t <= 3; t++) {
      store.trainables.forEach(({ g, decay }, i) => {
        g.set(numbers(g.length, 100 * t + i))
        const f = adamwFactors(decay ? options : { ...options, weightDecay: 0 }, t)
        expected[i] = (expected[i] ?? []).map((s, k) => adamw(s, g[k] as number, f, 0.37, Math.fround))
      })
      store.update(options, t, 0.37)
    }
    store.trainables.forEach(({ p, m, v }, i) => {
      expect(p).toEqual(Float32Array.from(expected[i] ?? [], (s) => s.p))
      expect(m).toEqual(Float32Array.from(expected[i] ?? [], (s) => s.m))
      expect(v).toEqual(Float32Array.from(expected[i] ?? [], (s) => s.v))
    })
  })

  test("the update of one tensor leaves its neighbours alone", () => {
    const store = new ParamStore(
      [
        { name: "a", shape: [5], decay: true },
        { name: "b", shape: [3], decay: true }
      ],
      false
    )
    const [a, b] = store.trainables
    a?.g.fill(1)
    b?.p.fill(2)
    store.update({ ...options, weightDecay: 0 }, 1, 1)
    expect(b?.p).toEqual(new Float32Array(3).fill(2))
    expect(a?.p[4]).toBeCloseTo(-options.learningRate, 8)
  })
})

test("the gradient's norm sums squares in float64 in the reference's order", () => {
  const store = new ParamStore(
    sizes.map((n, i) => ({ name: `t${i}`, shape: [n], decay: false })),
    false
  )
  store.trainables.forEach(({ g }, i) => g.set(numbers(g.length, i)))
  expect(store.gradNorm()).toBe(Math.sqrt(store.trainables.reduce((sum, { g }) => sum + sumSquares(g), 0)))
})

test("accumulation adds micro-batches, and a new step begins at zero", () => {
  const store = new ParamStore([{ name: "a", shape: [6], decay: false }], true)
  const g = store.trainables[0]?.g as Float32Array
  for (const [value, first] of [
    [9, true],
    [1, true],
    [2, false],
    [4, false]
  ] as const) {
    g.fill(value)
    store.accumulate(first)
  }
  expect(store.gradNorm()).toBe(Math.sqrt(6 * 49))
})

test("the dropout mask is splitmix64 of key and counter, dropped shares near p, kept ones scaled", () => {
  const [group] = sharedArrays([1003], 1) as [ArrayGroup]
  const key = 0xfedcba9876543210n
  const mask = group.arrays[0] as Float32Array
  group.kernels.dropoutMask(group.addresses[0] as number, group.bytes, key, 0.1 * 2 ** 32, 1 / 0.9)
  const u64 = (x: bigint): bigint => BigInt.asUintN(64, x)
  const expected = Float32Array.from({ length: 1003 }, (_, i) => {
    let x = u64(key + BigInt(Math.floor(i / 2) + 1) * 0x9e3779b97f4a7c15n)
    x = u64((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n)
    x = u64((x ^ (x >> 27n)) * 0x94d049bb133111ebn)
    x ^= x >> 31n
    const half = i % 2 === 0 ? x & 0xffffffffn : x >> 32n
    return Number(half) < Math.floor(0.1 * 2 ** 32) ? 0 : 1 / 0.9
  })
  expect(mask).toEqual(expected)
  const dropped = mask.filter((x) => x === 0).length
  expect(dropped).toBeGreaterThan(60)
  expect(dropped).toBeLessThan(145)
})
