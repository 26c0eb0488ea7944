// bitsandbytes' 4-bit quantisation (functional.quantize_4bit), byte for byte: blocks over the flat tensor, each scaled by its largest
// magnitude, the nearest of 16 codes per value; and its double quantisation of the scales (quantize_blockwise).
import { DataError } from "#src/domain/Errors.ts"
import { codesOf, dynamicCodes, type QuantType, type Ranks, ranksOf } from "./codes.ts"
import { type Quantized, type QuantOptions, type Scales, sizeOf } from "./quantized.ts"

/** Scales that share a nested scale. */
export const nestedBlockSize = 256

/** Keeps 1 / absmax finite. */
const smallest = Math.fround(1e-38)

const ranks4: Readonly<Record<QuantType, Ranks>> = { nf4: ranksOf(codesOf.nf4), fp4: ranksOf(codesOf.fp4) }
const ranks8 = ranksOf(dynamicCodes)

const largest = (values: Float32Array): number => {
  let most = 0
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i] as number))
  return most
}

/** How many of 15 ascending midpoints lie below x. */
const rank4 = (m: Float32Array, x: number): number => {
  let rank = x > (m[7] as number) ? 8 : 0
  if (x > (m[rank + 3] as number)) rank += 4
  if (x > (m[rank + 1] as number)) rank += 2
  return x > (m[rank] as number) ? rank + 1 : rank
}

const rank8 = (m: Float32Array, x: number): number => {
  let rank = 0
  for (let step = 128; step > 0; step >>>= 1) if (x > (m[rank + step - 1] as number)) rank += step
  return rank
}

const meanOf = (values: Float32Array): number => Math.fround(values.reduce((sum, x) => sum + x, 0) / values.length)

/**
 * Scales in 8 bits: their mean is subtracted, then blocks of 256 are scaled by their largest magnitude and put to the nearest code.
 * The mean is summed in float64; PyTorch's float32 sum depends on the machine's vector width and may be one bit off.
 */
export const quantizeScales = (absmax: Float32Array, offset = meanOf(absmax)): Scales => {
  const centred = absmax.map((x) => x - offset)
  const nested = new Float32Array(Math.ceil(absmax.length / nestedBlockSize))
  const q8 = new Uint8Array(absmax.length)
  for (let block = 0; block < nested.length; block++) {
    const at = block * nestedBlockSize
    const values = centred.subarray(at, at + nestedBlockSize)
    const most = (nested[block] = largest(values))
    // Of equal scales bitsandbytes takes the first code: 0 / 0 lies above none of the midpoints.
    if (most === 0) continue
    for (let i = 0; i < values.length; i++) q8[at + i] = rank8(ranks8.midpoints, Math.fround((values[i] as number) / most))
  }
  return { kind: "double", q8, codes: dynamicCodes, nested, offset, blockSize: nestedBlockSize }
}

/**
 * Quantises a tensor. A full block is multiplied by the reciprocal of its scale, an incomplete last one is divided by it, as
 * bitsandbytes' kernel does, and of zeros has the smallest scale instead of 0; an odd count is filled up with the code of 0.
 * @throws DataError where a value is not finite
 */
export const quantize = (values: Float32Array, shape: readonly number[], options: QuantOptions, where: string): Quantized => {
  const { quantType, blockSize } = options
  const { order, midpoints } = ranks4[quantType]
  const codeOf = (x: number): number => order[rank4(midpoints, x)] as number
  const count = sizeOf(shape)
  const absmax = new Float32Array(Math.ceil(count / blockSize))
  const packed = new Uint8Array(Math.ceil(count / 2))
  for (let block = 0; block < absmax.length; block++) {
    const at = block * blockSize
    const part = values.subarray(at, Math.min(at + blockSize, count))
    const most = largest(part)
    if (!Number.isFinite(most)) throw new DataError({ message: "a weight is NaN or infinite", where, hint: "download the model again" })
    const scale = Math.max(most, smallest)
    const reciprocal = Math.fround(1 / scale)
    const whole = part.length === blockSize
    absmax[block] = whole ? most : scale
    for (let i = 0; i < part.length; i++) {
      const x = part[i] as number
      const code = codeOf(Math.fround(whole ? x * reciprocal : x / scale))
      const byte = (at + i) >>> 1
      packed[byte] = (at + i) & 1 ? (packed[byte] as number) | code : code << 4
    }
  }
  if (count % 2 === 1) packed[packed.length - 1] = (packed.at(-1) as number) | codeOf(0)
  const scales: Scales = options.doubleQuant ? quantizeScales(absmax) : { kind: "float32", absmax }
  return { quantType, blockSize, shape, codes: codesOf[quantType], packed, scales }
}
