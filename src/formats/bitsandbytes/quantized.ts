// A tensor in bitsandbytes' 4-bit form, as plain data: packed codes, one scale per block, and the scales' own 8-bit form.
import { codesOf, type QuantType } from "./codes.ts"

/** How a tensor is quantised; names are those of Hugging Face's BitsAndBytesConfig without `bnb_4bit_`. */
export interface QuantOptions {
  readonly quantType: QuantType
  /** The scales are stored in 8 bits, relative to their mean. */
  readonly doubleQuant: boolean
  /** Values that share a scale. */
  readonly blockSize: number
}

/** A block's scale is its largest magnitude. Doubly quantised: absmax_i = codes[q8_i] * nested[i / blockSize] + offset. */
export type Scales =
  | { readonly kind: "float32"; readonly absmax: Float32Array }
  | {
      readonly kind: "double"
      readonly q8: Uint8Array
      readonly codes: Float32Array
      readonly nested: Float32Array
      readonly offset: number
      readonly blockSize: number
    }

export interface Quantized {
  readonly quantType: QuantType
  readonly blockSize: number
  /** Of the tensor; values are counted row-major, blocks run across rows. */
  readonly shape: readonly number[]
  /** What the 16 indices stand for. */
  readonly codes: Float32Array
  /** Two values a byte, the first one in the high half. */
  readonly packed: Uint8Array
  readonly scales: Scales
}

/** Of a layer. bitsandbytes holds [out, in]; a `transposed` layer has its weight as [in, out] (GPT-2's Conv1D). */
export interface QuantizedWeight extends Quantized {
  readonly transposed: boolean
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1)

/** Bytes of a quantised tensor's arrays; the code tables are shared by all. */
export const bytesOf = ({ packed, scales }: Quantized): number =>
  packed.byteLength + (scales.kind === "float32" ? scales.absmax.byteLength : scales.q8.byteLength + scales.nested.byteLength + 4)

/** One scale per block, in float32. */
export const absmaxOf = (scales: Scales): Float32Array => {
  if (scales.kind === "float32") return scales.absmax
  const { q8, codes, nested, offset, blockSize } = scales
  return Float32Array.from(q8, (q, i) => Math.fround((codes[q] as number) * (nested[Math.floor(i / blockSize)] as number)) + offset)
}

/** The values: codes[index] * absmax of the block. Fills `into` where given. */
export const dequantize = (quantized: Quantized, into: Float32Array = new Float32Array(sizeOf(quantized.shape))): Float32Array => {
  const { packed, blockSize, codes, scales } = quantized
  const absmax = absmaxOf(scales)
  for (let i = 0; i < into.length; i++) {
    const byte = packed[i >>> 1] as number
    into[i] = (codes[i & 1 ? byte & 15 : byte >>> 4] as number) * (absmax[Math.floor(i / blockSize)] as number)
  }
  return into
}

/** The options that would have given this tensor. */
export const optionsOf = ({ quantType, blockSize, scales }: Quantized): QuantOptions => ({
  quantType,
  blockSize,
  doubleQuant: scales.kind === "double"
})

/** bitsandbytes' own table where it has the same values, so that equal tables are one array. */
export const ownCodes = (quantType: QuantType, codes: Float32Array): Float32Array => {
  const own = codesOf[quantType]
  return codes.every((code, i) => code === own[i]) ? own : codes
}
