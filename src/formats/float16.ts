// 16-bit floating point to float32: IEEE binary16 and bfloat16.

/** Value of an IEEE binary16 bit pattern. */
const fromHalf = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >>> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** All 65,536 binary16 values, made at first use: one look-up converts a value. */
let halves: Float32Array | undefined

/** float16 bit patterns to float32, exactly. `into` has the length of `bits`. */
export const float16ToFloat32 = (bits: Uint16Array, into: Float32Array): void => {
  const table = (halves ??= Float32Array.from({ length: 0x1_0000 }, (_, pattern) => fromHalf(pattern)))
  for (let i = 0; i < bits.length; i++) into[i] = table[bits[i] as number] as number
}

/** bfloat16 bit patterns to float32, exactly: they are the upper half of a float32. */
export const bfloat16ToFloat32 = (bits: Uint16Array, into: Float32Array): void => {
  const words = new Uint32Array(into.buffer, into.byteOffset, into.length)
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16
}
