// The 4-bit quantiser against bitsandbytes 0.50: packed bytes, scales, double quantisation, dequantised values.
import { describe, expect, test } from "vitest"
import { codesOf, dynamicCodes, type QuantType } from "#src/formats/bitsandbytes/codes.ts"
import { quantize, quantizeScales } from "#src/formats/bitsandbytes/quantize.ts"
import { bytesOf, dequantize, type Quantized, type Scales } from "#src/formats/bitsandbytes/quantized.ts"
import { openTensorFile, readBytes, readTensor, type StoredTensors } from "#src/models/weights.ts"
import { DataError } from "#src/domain/Errors.ts"
import { hasShared, shared } from "../shared.ts"

const golden = (file: string): StoredTensors => (hasShared ? openTensorFile(shared("parity", "nf4", file)) : new Map())
const tensors = golden("tensors.safetensors")
const floats = (name: string): Float32Array => readTensor(tensors.get(name)!)
const bytes = (name: string): Uint8Array => readBytes(tensors.get(name)!)
const cases = [...tensors.keys()]
  .filter((name) => name.endsWith(".input"))
  .flatMap((name) => (["nf4", "fp4"] as const).map((type) => [name.slice(0, -".input".length), type] as const))
const input = (name: string): readonly [Float32Array, readonly number[]] => [floats(`${name}.input`), tensors.get(`${name}.input`)!.shape]
const quantized = (name: string, quantType: QuantType, doubleQuant: boolean): Quantized =>
  quantize(...input(name), { quantType, doubleQuant, blockSize: 64 }, name)

test.skipIf(!hasShared)("the code tables", () => {
  expect(codesOf.nf4).toEqual(floats("nf4.code"))
  expect([...codesOf.fp4].map(Math.abs)).toEqual([...floats("fp4.code")].map(Math.abs))
  expect(dynamicCodes).toEqual(floats("dynamic_map.code"))
})

describe.skipIf(!hasShared).each(cases)("%s, %s", (name, type) => {
  test("packed bytes, scales and values are equal", () => {
    const ours = quantized(name, type, false)
    expect(ours.packed).toEqual(bytes(`${name}.${type}.packed`))
    expect(ours.scales).toEqual({ kind: "float32", absmax: floats(`${name}.${type}.absmax`) })
    expect(dequantize(ours)).toEqual(floats(`${name}.${type}.dequant_f32`))
  })

  test("double quantisation: nearest codes; the stored form gives the library's values", () => {
    const ours = quantized(name, type, true)
    const scales = ours.scales as Extract<Scales, { readonly kind: "double" }>
    const at = `${name}.${type}.dq`
    const relative = (a: number, b: number): number => Math.abs(a - b) / Math.max(Math.abs(b), 1e-30)
    expect(relative(scales.offset, floats(`${at}.offset`)[0]!)).toBeLessThan(2e-7)
    const nested = floats(`${at}.nested_absmax`)
    expect(scales.nested.length).toBe(nested.length)
    expect(scales.nested.every((x, i) => Math.abs(x - nested[i]!) <= 2e-7 * scales.offset)).toBe(true)
    // One scale alone is its own mean: 0 / 0 has no nearest code, and any code gives the same scale.
    if (scales.q8.length > 1) expect(scales.q8).toEqual(bytes(`${at}.absmax_q8_nearest`))
    const offset = floats(`${at}.offset`)[0]!
    const stored: Quantized = { ...ours, scales: { ...scales, q8: bytes(`${at}.absmax_q8`), nested, offset } }
    expect(dequantize(stored)).toEqual(floats(`${at}.dequant_f32`))
  })
})

test.skipIf(!hasShared)("the 8-bit quantiser alone", () => {
  const file = golden("blockwise8.safetensors")
  const read = (name: string): Float32Array => readTensor(file.get(name)!)
  const { q8, nested, codes } = quantizeScales(read("input"), 0) as Extract<Scales, { readonly kind: "double" }>
  expect(nested).toEqual(read("absmax"))
  expect(codes).toEqual(read("code"))
  // The library's own search is not exactly the nearest.
  const theirs = readBytes(file.get("q")!)
  expect(q8.filter((q, i) => q !== theirs[i]).length / q8.length).toBeLessThan(0.005)
  expect(q8.every((q, i) => Math.abs(q - theirs[i]!) <= 4)).toBe(true)
})

const sine = Float32Array.from({ length: 128 }, (_, i) => Math.sin(0.37 * i) * (1 + 0.01 * i))
const hex = (values: Uint8Array): string => Buffer.from(values).toString("hex")

test("NF4 of a sine, as numpy computed it", () => {
  const { packed, scales, ...rest } = quantize(sine, [128], { quantType: "nf4", doubleQuant: false, blockSize: 64 }, "sine")
  const { absmax } = scales as Extract<Scales, { readonly kind: "float32" }>
  expect(absmax[0]).toBeCloseTo(1.57854, 5)
  expect(absmax[1]).toBeCloseTo(2.2279298, 6)
  expect(hex(packed)).toMatch(/^7acdeddb9632111247adeeedc9531111.*cefffec9$/)
  const values = dequantize({ packed, scales, ...rest })
  ;[0, 0.3884981, 0.69567806, 0.88811344].forEach((value, i) => expect(values[i]).toBeCloseTo(value, 6))
})

test("zeros and equal scales, as bitsandbytes 0.50 stores them", () => {
  const scalesOf = (values: Float32Array, doubleQuant: boolean) =>
    quantize(values, [values.length], { quantType: "nf4", doubleQuant, blockSize: 64 }, "x").scales
  const tiny = Math.fround(1e-38)
  // An incomplete last block of zeros has the smallest scale, a full one 0.
  expect(scalesOf(new Float32Array(128), false)).toEqual({ kind: "float32", absmax: Float32Array.of(0, 0) })
  expect(scalesOf(new Float32Array(65), false)).toEqual({ kind: "float32", absmax: Float32Array.of(0, tiny) })
  const [half] = Float32Array.of(tiny / 2)
  expect(scalesOf(new Float32Array(65), true)).toMatchObject({ q8: Uint8Array.of(0, 255), nested: Float32Array.of(half!), offset: half })
  expect(scalesOf(new Float32Array(10), true)).toMatchObject({ q8: Uint8Array.of(0), nested: Float32Array.of(0), offset: tiny })
  // Scales that are all equal take the first code.
  expect(scalesOf(new Float32Array(128).fill(1), true)).toMatchObject({ q8: Uint8Array.of(0, 0), nested: Float32Array.of(0), offset: 1 })
})

test("4.5 bits a value, 4.127 with double quantisation", () => {
  const values = Float32Array.from({ length: 512 * 1024 }, (_, i) => Math.sin(i * 1.7) * Math.cos(i * 0.013))
  const bits = (doubleQuant: boolean): number =>
    (8 * bytesOf(quantize(values, [512, 1024], { quantType: "nf4", doubleQuant, blockSize: 64 }, "w"))) / values.length
  expect(bits(false)).toBe(4.5)
  expect(bits(true)).toBeCloseTo(4.127, 3)
})

test.each([NaN, Infinity])("a weight of %s is refused", (bad) => {
  const values = sine.with(3, bad)
  expect(() => quantize(values, [128], { quantType: "nf4", doubleQuant: true, blockSize: 64 }, "layer.weight")).toThrow(DataError)
})
