// AdamW and clipping against values computed independently in float64.
import { describe, expect, test } from "vitest"
import { adamw, adamwFactors } from "#src/graph/optimizer/adamw.ts"
import { clipFactor, sumSquares } from "#src/graph/optimizer/clip.ts"

describe("adamw", () => {
  test("two steps of one parameter with decay", () => {
    const options = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 }
    const one = adamw({ p: 1, m: 0, v: 0 }, 0.5, adamwFactors(options, 1))
    expect(one.p).toBeCloseTo(0.99899000002, 11)
    const two = adamw(one, -0.25, adamwFactors(options, 2))
    expect(two.p).toBeCloseTo(0.9987136730870784, 14)
  })

  test("clipping scales the gradient before the moments", () => {
    const f = adamwFactors({ learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 }, 1)
    expect(adamw({ p: 1, m: 0, v: 0 }, 8, f, 0.25)).toEqual(adamw({ p: 1, m: 0, v: 0 }, 2, f))
  })
})

test("the clip factor follows torch: max / (norm + 1e-6), never above 1; 0 turns it off", () => {
  expect(clipFactor(4, 1)).toBe(1 / (4 + 1e-6))
  expect(clipFactor(0.5, 1)).toBe(1)
  expect(clipFactor(1e9, 0)).toBe(1)
})

test("sumSquares", () => {
  expect(sumSquares(Float32Array.of(1, 2, 3, 4, 5, 6))).toBe(91)
})
