// Frozen tensors as a training will hold them, without their numbers: enough to build its graphs and to count its bytes. One block of
// zeros stands in for every array, and nothing ever touches it.
import { codesOf } from "#src/formats/bitsandbytes/codes.ts"
import { nestedBlockSize } from "#src/formats/bitsandbytes/quantize.ts"
import type { Quantized, QuantOptions } from "#src/formats/bitsandbytes/quantized.ts"
import { sizeOf } from "#src/graph/Type.ts"
import type { Method } from "#src/adapters/options.ts"
import type { Model, Parameter, Weights } from "#src/models/Model.ts"
import { type SavedDType, savedDTypes } from "#src/models/save.ts"
import { type Frozen, onDisk, plain, quantized } from "./Frozen.ts"

export interface Held {
  readonly method: Method
  /** The base's; only where tensors lie is asked of them. Absent: weights that are made, not read. */
  readonly weights?: Pick<Weights, "stored">
  /** In which the frozen weights are held. */
  readonly dtype: SavedDType
  /** Whether files are mapped: on the CPU. Default true. */
  readonly mapped?: boolean
}

/** How the linear layers are held in 4 bits, by the method or by the base's own file. */
const quantOf = ({ configJson }: Model, method: Method): QuantOptions | undefined => {
  if (method.type === "qlora") return method
  const config = configJson["quantization_config"] as Readonly<Record<string, unknown>> | null | undefined
  if (config === undefined || config === null) return undefined
  return {
    quantType: config["bnb_4bit_quant_type"] === "nf4" ? "nf4" : "fp4",
    doubleQuant: config["bnb_4bit_use_double_quant"] === true,
    blockSize: 64
  }
}

/** Tensors in the form that `freeze` gives them. */
export const standIns = (
  model: Model,
  parameters: readonly Parameter[],
  { method, weights, dtype, mapped = true }: Held
): readonly Frozen[] => {
  const largest = parameters.reduce((most, { shape }) => Math.max(most, sizeOf(shape)), 0)
  const zeros = new ArrayBuffer(4 * largest)
  const floats = (count: number): Float32Array => new Float32Array(zeros, 0, count)
  const bytes = (count: number): Uint8Array => new Uint8Array(zeros, 0, count)
  const quant = quantOf(model, method)
  const linears = new Map(model.linears.map((linear) => [`${linear.path}.weight`, linear]))
  const inFourBits = (shape: readonly number[], { quantType, doubleQuant, blockSize }: QuantOptions): Quantized => {
    const blocks = Math.ceil(sizeOf(shape) / blockSize)
    const nested = Math.ceil(blocks / nestedBlockSize)
    return {
      quantType,
      blockSize,
      shape,
      codes: codesOf[quantType],
      packed: bytes((blocks * blockSize) / 2),
      scales: doubleQuant
        ? {
            kind: "double",
            q8: bytes(nested * nestedBlockSize),
            codes: nestedCodes,
            nested: floats(nested),
            offset: 0,
            blockSize: nestedBlockSize
          }
        : { kind: "float32", absmax: floats(blocks) }
    }
  }
  return parameters.map(({ name, shape }) => {
    const linear = linears.get(name)
    if (quant !== undefined && linear !== undefined) {
      const { outFeatures, inFeatures, transposed = false } = linear
      return quantized(name, { ...inFourBits([outFeatures, inFeatures], quant), transposed })
    }
    const stored = dtype === "float32" ? weights?.stored?.(name)?.dtype : savedDTypes[dtype]
    if (stored === undefined || !mapped) return plain(name, shape, floats(sizeOf(shape)))
    return onDisk(name, shape, {
      name,
      path: "/model/model.safetensors",
      start: 0,
      end: sizeOf(shape) * (stored === "F32" ? 4 : 2),
      dtype: stored,
      shape
    })
  })
}

/** One table for all, as those of bitsandbytes are. */
const nestedCodes = new Float32Array(256)
