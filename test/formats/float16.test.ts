// 16-bit floats: values worked out by hand, and a round trip over bfloat16's upper half.
import { expect, test } from "vitest"
import { bfloat16ToFloat32, float16ToFloat32 } from "#src/formats/float16.ts"

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
