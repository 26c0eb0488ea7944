// 16-bit floating point to float32 and back: IEEE binary16 and bfloat16. Back means to the nearest value, to the even one of two equally near.

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

/** Bit patterns of float32 values; both arrays see the same bytes. */
const wordsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length)

/** float32 to bfloat16 bit patterns. Values above the largest become infinite, NaN stays NaN. */
export const float32ToBfloat16 = (values: Float32Array, into: Uint16Array): void => {
  const words = wordsOf(values)
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number
    const isNaN = (word & 0x7fff_ffff) > 0x7f80_0000
    // Half of the last kept place is added, less a trifle where the kept part is even: a tie then stays below.
    into[i] = isNaN ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
}

/** float32 to binary16 bit patterns. Values that round above 65504 become infinite, NaN stays NaN. */
export const float32ToFloat16 = (values: Float32Array, into: Uint16Array): void => {
  const words = wordsOf(values)
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number
    const sign = (word >>> 16) & 0x8000
    const size = word & 0x7fff_ffff
    into[i] = sign | (size > 0x7f80_0000 ? 0x7e00 : halfBits(size))
  }
}

/** binary16 pattern of a positive float32 pattern. */
const halfBits = (size: number): number => {
  const exponent = (size >>> 23) - 127
  if (exponent > 15) return 0x7c00
  // Above 2^-14 the last 13 of 23 places go, below as many more as the exponent is smaller; the leading 1 is written out there.
  const dropped = exponent >= -14 ? 13 : Math.min(25, 13 - 14 - exponent)
  const mantissa = exponent >= -14 ? size - ((127 - 15) << 23) : (size & 0x7f_ffff) | 0x80_0000
  const kept = Math.floor(mantissa / 2 ** dropped)
  const rest = mantissa - kept * 2 ** dropped
  const half = 2 ** (dropped - 1)
  return kept + (rest > half || (rest === half && kept % 2 === 1) ? 1 : 0)
}
