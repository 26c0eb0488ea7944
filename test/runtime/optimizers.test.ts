// The SIMD kernels of the optimizers give exactly the bytes of the reference arithmetic in graph/optimizer/ rounded to float32.
import { describe, expect, test } from "vitest"
import { adafactorFactors, adafactorMatrix, adafactorVector } from "#src/graph/optimizer/adafactor.ts"
import { adamw, adamwFactors } from "#src/graph/optimizer/adamw.ts"
import { sumSquares } from "#src/graph/optimizer/clip.ts"
import { lion, lionFactors } from "#src/graph/optimizer/lion.ts"
import { sgd } from "#src/graph/optimizer/sgd.ts"
import { type Optimizer, optimizerDefaults } from "#src/graph/optimizer.ts"
import { ParamStore, type Trainable } from "#src/runtime/ParamStore.ts"
import type { Rates } from "#src/runtime/updateTensor.ts"

/** Numbers of very different sizes and both signs, with zeros. */
const numbers = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => (i % 11 === 7 ? 0 : Math.sin(seed + i * 12.9898) * 10 ** (((i * 7 + seed) % 9) - 5)))

const shapes = [[1], [3], [4], [5], [16], [37], [1000], [1, 1], [3, 1], [1, 6], [5, 7], [6, 4], [4, 9], [31, 18], [2, 131], [200, 173]]
const clip = 0.37

/** One tensor's weights and state by key, as plain numbers. */
type Tensors = Readonly<Record<string, readonly number[]>>
/** The next weights and state by the reference. */
type Reference = (before: Tensors, g: Float32Array, rates: Rates, t: number) => Tensors

/** A reference that works value by value. */
const byValue =
  <S extends object>(keys: readonly (keyof S & string)[], next: (state: S, g: number, rates: Rates, t: number) => S): Reference =>
  (before, g, rates, t) => {
    const after = Array.from(g, (x, i) => next(Object.fromEntries(keys.map((key) => [key, before[key]?.[i] ?? 0])) as S, x, rates, t))
    return Object.fromEntries(keys.map((key) => [key, after.map((state) => state[key] as number)]))
  }

const round = Math.fround
const { adamw: adamwOptions, lion: lionOptions, adafactor: adafactorOptions } = optimizerDefaults
const adafactorReference =
  (optimizer: Extract<Optimizer, { kind: "adafactor" }>): Reference =>
  ({ p = [], v, row = [], col = [] }, g, rates, t) => {
    const f = adafactorFactors({ ...optimizer, ...rates }, t, Math.sqrt(sumSquares(Float32Array.from(p)) / p.length))
    return v === undefined
      ? { ...adafactorMatrix({ p, row, col }, g, f, clip, round) }
      : { ...adafactorVector({ p, v }, g, f, clip, round) }
  }
const scaled = { ...adafactorOptions, scaleParameter: true, clipThreshold: 0.3, decayRate: -0.5 }

const cases: Readonly<Record<string, { readonly optimizer: Optimizer; readonly reference: Reference }>> = {
  adamw: {
    optimizer: adamwOptions,
    reference: byValue(["p", "m", "v"], (state, g, rates, t) =>
      adamw(state, g, adamwFactors({ ...adamwOptions, ...rates }, t), clip, round)
    )
  },
  lion: {
    optimizer: lionOptions,
    reference: byValue(["p", "m"], (state, g, rates) => lion(state, g, lionFactors({ ...lionOptions, ...rates }), clip, round))
  },
  sgd: {
    optimizer: optimizerDefaults.sgd,
    reference: byValue(["p"], ({ p }, g, rates) => sgd({ p, m: 0 }, g, { ...rates, momentum: 0 }, clip, round))
  },
  "sgd with momentum": {
    optimizer: { kind: "sgd", momentum: 0.9 },
    reference: byValue(["p", "m"], (state, g, rates) => sgd(state, g, { ...rates, momentum: 0.9 }, clip, round))
  },
  adafactor: { optimizer: adafactorOptions, reference: adafactorReference(adafactorOptions) },
  "adafactor relative to the weights": { optimizer: scaled, reference: adafactorReference(scaled) }
}

const tensorsOf = ({ p, state }: Trainable): Tensors =>
  Object.fromEntries([["p", Array.from(p)], ...state.map(({ key, data }) => [key, Array.from(data)])])

describe.each(Object.keys(cases))("%s", (name) => {
  const { optimizer, reference } = cases[name] as (typeof cases)[string]

  test("three clipped steps over odd shapes equal the reference in float32, byte by byte", () => {
    const store = new ParamStore(
      shapes.map((shape, i) => ({ name: `t${i}`, shape, decay: i % 2 === 0 })),
      false,
      false,
      optimizer
    )
    store.trainables.forEach(({ p }, i) => p.set(numbers(p.length, i)))
    let expected = store.trainables.map(tensorsOf)
    const ratesOf = ({ name, decay }: { readonly name: string; readonly decay: boolean }): Rates => ({
      learningRate: name === "t2" ? 0.1 : 3e-3,
      weightDecay: decay ? 0.1 : 0
    })
    for (let t = 1; t <= 3; t++) {
      store.trainables.forEach(({ g }, i) => g.set(numbers(g.length, 100 * t + i)))
      expected = expected.map((before, i) => {
        const trainable = store.trainables[i] as Trainable
        return reference(before, trainable.g, ratesOf(trainable), t)
      })
      store.update(ratesOf, t, clip)
    }
    store.trainables.forEach((trainable, i) => expect(tensorsOf(trainable), shapes[i]?.join("x") ?? "").toEqual(expected[i]))
    expect(expected.flatMap((tensors) => Object.values(tensors).flat()).every(Number.isFinite)).toBe(true)
  })

  test("the update of one tensor leaves its neighbours alone", () => {
    const specs = [
      { name: "a", shape: [5, 3], decay: true },
      { name: "b", shape: [3], decay: true }
    ]
    const store = new ParamStore(specs, false, false, optimizer)
    const [a, b] = store.trainables
    a?.g.fill(1)
    b?.p.fill(2)
    store.update(({ name }) => ({ learningRate: name === "a" ? 0.1 : 0, weightDecay: 0 }), 1, 1)
    expect(b?.p).toEqual(new Float32Array(3).fill(2))
    expect(a?.p.every((x) => x < 0)).toBe(true)
  })
})

test("a store holds the state that the optimizer needs, and no more", () => {
  const keys = (optimizer: Optimizer, shape: readonly number[]): readonly string[] =>
    new ParamStore([{ name: "w", shape, decay: true }], false, false, optimizer).trainables[0]?.state.map(
      ({ key, data }) => `${key} ${data.length}`
    ) ?? []
  expect(keys(optimizerDefaults.sgd, [3, 4])).toEqual([])
  expect(keys({ kind: "sgd", momentum: 0.9 }, [3, 4])).toEqual(["m 12"])
  expect(keys(optimizerDefaults.lion, [3, 4])).toEqual(["m 12"])
  expect(keys(optimizerDefaults.adafactor, [3, 4])).toEqual(["row 3", "col 4"])
  expect(keys(optimizerDefaults.adafactor, [4])).toEqual(["v 4"])
  expect(keys(optimizerDefaults.adamw, [3, 4])).toEqual(["m 12", "v 12"])
  expect(() => keys(optimizerDefaults.adafactor, [2, 3, 4])).toThrow(/vectors and matrices only/)
})
