// 16-bit floats: values worked out by hand, round trips over all patterns, and rounding to the nearest, ties to even.
import { describe, expect, test } from "vitest"
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "#src/formats/float16.ts"

const convert = (decode: (bits: Uint16Array, into: Float32Array) => void, bits: readonly number[]) => {
  const into = new Float32Array(bits.length)
  decode(Uint16Array.from(bits), into)
  return [...into]
}

test("float16", () => {
  const bits = [0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x8001, 0x3555, 0x7c00, 0xfc00, 0x7e00]
  const values = [0, -0, 1, -2, 65504, 2 ** -14, 2 ** -24, -(2 ** -24), 0.333251953125, Infinity, -Infinity, NaN]
  expect(convert(float16ToFloat32, bits)).toEqual(values)
})

test("bfloat16", () => {
  const bits = [0x0000, 0x8000, 0x3f80, 0xc000, 0x3eab, 0x7f80, 0x0001, 0x7fc0]
  expect(convert(bfloat16ToFloat32, bits)).toEqual([0, -0, 1, -2, 0.333984375, Infinity, 2 ** -133, NaN])
})

const pairs = [
  ["float16", float16ToFloat32, float32ToFloat16],
  ["bfloat16", bfloat16ToFloat32, float32ToBfloat16]
] as const

describe.each(pairs)("float32 to %s", (_, decode, encode) => {
  const patterns = Uint16Array.from({ length: 0x1_0000 }, (_, i) => i)
  const values = new Float32Array(patterns.length)
  decode(patterns, values)
  const encoded = (of: Float32Array) => {
    const into = new Uint16Array(of.length)
    encode(of, into)
    return into
  }

  test("every pattern comes back; NaN stays one", () => {
    const back = new Float32Array(values.length)
    decode(encoded(values), back)
    expect(back.every((x, i) => Object.is(x, values[i]) || (Number.isNaN(x) && Number.isNaN(values[i])))).toBe(true)
  })

  test("between two neighbours the nearer one, in the middle the even one", () => {
    const finite = [...patterns].filter((bits) => bits < 0x8000 && Number.isFinite(values[bits]! + values[bits + 1]!))
    expect(finite.length).toBeGreaterThan(31_000)
    const middles = Float32Array.from(finite, (bits) => (values[bits]! + values[bits + 1]!) / 2)
    const word = (x: number, step: number) => {
      const f = Float32Array.of(x)
      new Uint32Array(f.buffer)[0]! += step
      return f[0]!
    }
    expect(encoded(middles)).toEqual(Uint16Array.from(finite, (bits) => bits + (bits % 2)))
    expect(encoded(middles.map((x) => word(x, -1)))).toEqual(Uint16Array.from(finite))
    expect(encoded(middles.map((x) => word(x, 1)))).toEqual(Uint16Array.from(finite, (bits) => bits + 1))
    expect(encoded(middles.map((x) => -x))).toEqual(Uint16Array.from(finite, (bits) => 0x8000 | (bits + (bits % 2))))
  })
})

test("beyond the largest: float16 overflows from half a step above 65504", () => {
  const into = new Uint16Array(4)
  float32ToFloat16(Float32Array.of(65519.99, 65520, -1e9, 1e-10), into)
  expect([...into]).toEqual([0x7bff, 0x7c00, 0xfc00, 0])
})
