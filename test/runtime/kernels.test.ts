// The SIMD kernels give exactly the bytes of the reference arithmetic in graph/optimizer/ rounded to float32.
import { describe, expect, test } from "vitest"
import { sumSquares } from "#src/graph/optimizer/clip.ts"
import { pull } from "#src/graph/optimizer/pull.ts"
import { ParamStore } from "#src/runtime/ParamStore.ts"
import { sharedArrays, type ArrayGroup } from "#src/runtime/SharedArrays.ts"

/** Numbers of very different sizes and both signs. */
const numbers = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(seed + i * 12.9898) * 10 ** (((i * 7 + seed) % 9) - 5))

const sizes = [1, 3, 4, 5, 16, 37, 1000]

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

test.each([false, true])("the pull adds lambda (w - w0) to the step's gradient, byte by byte (accumulating: %s)", (accumulates) => {
  const store = new ParamStore(
    sizes.map((n, i) => ({ name: `t${i}`, shape: [n], decay: false })),
    accumulates,
    true
  )
  store.trainables.forEach(({ p }, i) => p.set(numbers(p.length, i)))
  store.anchor()
  const expected = store.trainables.map(({ p, g }, i) => {
    const initial = p.slice()
    p.set(numbers(p.length, 50 + i))
    g.set(numbers(g.length, 100 + i))
    return g.map((x, k) => pull(x, p[k] as number, initial[k] as number, 0.3, Math.fround))
  })
  store.accumulate(true)
  store.pull(0.3)
  expect(store.gradNorm()).toBe(Math.sqrt(expected.reduce((sum, g) => sum + sumSquares(g), 0)))
})

const u64 = (x: bigint): bigint => BigInt.asUintN(64, x)
const mix = (seed: bigint): bigint => {
  let x = u64((seed ^ (seed >> 30n)) * 0xbf58476d1ce4e5b9n)
  x = u64((x ^ (x >> 27n)) * 0x94d049bb133111ebn)
  return x ^ (x >> 31n)
}
/** Number i of a stream, 32 bits. */
const drawn = (stream: bigint, i: number): number => {
  const x = mix(u64(stream + BigInt(Math.floor(i / 2) + 1) * 0x9e3779b97f4a7c15n))
  return Number(i % 2 === 0 ? x & 0xffffffffn : x >> 32n)
}
const [site, document] = [0xfedcba9876543210n, 0x0123456789abcdefn]
const stream = mix(site ^ mix(document))
const [threshold, kept] = [0.1 * 2 ** 32, Math.fround(1 / 0.9)]
const masked = (of: bigint, i: number): number => (drawn(of, i) < Math.floor(threshold) ? 0 : kept)

describe("random numbers of a document at a site", () => {
  test("a mask drops shares near p, scales what is kept, and does not depend on where it begins or ends", () => {
    const [group] = sharedArrays([1003], 1) as [ArrayGroup]
    const array = group.arrays[0] as Float32Array
    const whole = Float32Array.from({ length: 1003 }, (_, i) => masked(stream, i))
    for (const [from, count] of [
      [0, 1003],
      [1, 1],
      [3, 8],
      [4, 7]
    ] as const) {
      array.fill(-1)
      group.kernels.dropoutMask(group.addresses[0] as number, from, count, site, document, threshold, 1 / 0.9)
      expect(array.subarray(0, count)).toEqual(whole.subarray(from, from + count))
      expect(array.subarray(count).every((x) => x === -1)).toBe(true)
    }
    const dropped = whole.filter((x) => x === 0).length
    expect(dropped).toBeGreaterThan(60)
    expect(dropped).toBeLessThan(145)
  })

  test("an attention mask fills what each query looks at: the prefix and the document's own places up to itself", () => {
    const [heads, queries, keys, prefix, start, length] = [2, 6, 9, 3, 2, 3]
    const [group] = sharedArrays([heads * queries * keys], 1) as [ArrayGroup]
    const array = (group.arrays[0] as Float32Array).fill(-1)
    const at = (group.addresses[0] as number) + 4 * start * keys
    group.kernels.attentionMask(at, heads, queries, keys, prefix, start, length, site, document, threshold, 1 / 0.9)
    array.forEach((x, i) => {
      const [head, q, k] = [Math.floor(i / (queries * keys)), (Math.floor(i / keys) % queries) - start, i % keys]
      const own = mix(u64(stream + ((BigInt(head) << 32n) | BigInt(Math.max(q, 0)))))
      const place = k < prefix ? k : k - start
      const seen = q >= 0 && q < length && (k < prefix || (k >= prefix + start && place <= prefix + q))
      expect(x).toBe(seen ? masked(own, place) : -1)
    })
  })

  test("noise is uniform between its bounds", () => {
    const [group] = sharedArrays([5000], 1) as [ArrayGroup]
    group.kernels.uniformNoise(group.addresses[0] as number, 5000, site, document, 0.5)
    const noise = group.arrays[0] as Float32Array
    noise.forEach((x, i) => expect(Math.abs(x - (0.5 * (drawn(stream, i) | 0)) / 2 ** 31)).toBeLessThan(1e-7))
    expect(Math.abs(noise.reduce((sum, x) => sum + x, 0) / 5000)).toBeLessThan(0.02)
    expect(Math.abs(noise.reduce((sum, x) => sum + x * x, 0) / 5000 - 0.25 / 3)).toBeLessThan(0.005)
  })
})
