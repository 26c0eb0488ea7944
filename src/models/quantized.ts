// Weights in 4 bits: those that a folder holds in bitsandbytes' form, and plain ones quantised as they are read.
import { DataError } from "#src/domain/Errors.ts"
import { quantize } from "#src/formats/bitsandbytes/quantize.ts"
import {
  dequantize,
  optionsOf,
  ownCodes,
  type Quantized,
  type QuantizedWeight,
  type QuantOptions,
  type Scales,
  sizeOf
} from "#src/formats/bitsandbytes/quantized.ts"
import { parseQuantState, type QuantState, sideNames } from "#src/formats/bitsandbytes/quantState.ts"
import type { Linear, Model, Weights } from "./Model.ts"
import { readBytes, readTensor, type StoredTensor, type StoredTensors } from "./weights.ts"

/** A 4-bit tensor of a file: checked, but its data not read yet. */
export interface StoredQuantized {
  readonly read: () => QuantizedWeight
}

export interface QuantizedTensors {
  /** By the name of the weight. */
  readonly tensors: ReadonlyMap<string, StoredQuantized>
  /** Names of the tensors beside them in the file. */
  readonly sides: readonly string[]
}

/** Linear layers by the name of their weight: what can be quantised. bitsandbytes holds a `transposed` one as [out, in]. */
const linearsOf = ({ linears, head, config }: Model): ReadonlyMap<string, Linear> =>
  new Map([...linears, ...(config.tie_word_embeddings ? [] : [head])].map((linear) => [`${linear.path}.weight`, linear]))

/** The 4-bit tensors of a folder. @throws DataError where a side tensor is missing or does not fit */
export const openQuantized = (model: Model, stored: StoredTensors): QuantizedTensors => {
  const tensors = new Map<string, StoredQuantized>()
  const sides: string[] = []
  for (const [weight, linear] of linearsOf(model)) {
    const names = sideNames(weight)
    const stateName = names.states.find((name) => stored.has(name))
    const packed = stored.get(weight)
    if (stateName === undefined || packed === undefined) continue
    const state = parseQuantState(readBytes(stored.get(stateName)!), `${packed.path}: ${stateName}`)
    expectShape(state, linear, packed)
    const side = (name: string, elements: number, dtype: string): StoredTensor => {
      sides.push(name)
      return expectTensor(stored, name, elements, dtype, packed.path)
    }
    sides.push(stateName)
    const blocks = Math.ceil(sizeOf(state.shape) / state.blockSize)
    const nested = state.nested && Math.ceil(blocks / state.nested.blockSize)
    const parts: Parts = {
      packed: expectBytes(packed, Math.ceil(sizeOf(state.shape) / 2)),
      absmax: side(names.absmax, blocks, nested === undefined ? "F32" : "U8"),
      codes: side(names.codes, 16, "F32"),
      ...(nested === undefined ? {} : { nested: side(names.nestedAbsmax, nested, "F32"), nestedCodes: side(names.nestedCodes, 256, "F32") })
    }
    tensors.set(weight, { read: () => ({ ...readQuantized(state, parts), transposed: linear.transposed === true }) })
  }
  return { tensors, sides }
}

interface Parts {
  readonly packed: StoredTensor
  readonly absmax: StoredTensor
  readonly codes: StoredTensor
  readonly nested?: StoredTensor
  readonly nestedCodes?: StoredTensor
}

const expectShape = ({ shape }: QuantState, { outFeatures, inFeatures }: Linear, { name, path }: StoredTensor): void => {
  if (shape.join() === [outFeatures, inFeatures].join()) return
  throw new DataError({
    message: `${name} has the shape [${shape.join(", ")}] in 4 bits, the model's config asks for [${outFeatures}, ${inFeatures}]`,
    where: path,
    hint: "config and weights must come from the same model"
  })
}

const expectTensor = (stored: StoredTensors, name: string, elements: number, dtype: string, where: string): StoredTensor => {
  const tensor = stored.get(name)
  if (tensor?.dtype === dtype && sizeOf(tensor.shape) === elements) return tensor
  throw new DataError({
    message: tensor === undefined ? `tensor ${name} is missing` : `${name} is ${tensor.dtype} [${tensor.shape.join(", ")}]`,
    where,
    why: `a 4-bit weight needs it as ${dtype} with ${elements} elements`,
    hint: "copy or download the file again"
  })
}

/** The packed bytes may be declared as any type (bnb_4bit_quant_storage). */
const expectBytes = (tensor: StoredTensor, bytes: number): StoredTensor => {
  if (tensor.end - tensor.start === bytes) return tensor
  throw new DataError({
    message: `${tensor.name} has ${tensor.end - tensor.start} bytes, its shape takes ${bytes} in 4 bits`,
    where: tensor.path,
    hint: "copy or download the file again"
  })
}

const readQuantized = ({ quantType, blockSize, shape, nested: state }: QuantState, parts: Parts): Quantized => {
  const { nested, nestedCodes } = parts
  const scales: Scales =
    state === undefined || nested === undefined || nestedCodes === undefined
      ? { kind: "float32", absmax: readTensor(parts.absmax) }
      : { kind: "double", q8: readBytes(parts.absmax), codes: readTensor(nestedCodes), nested: readTensor(nested), ...state }
  const codes = ownCodes(quantType, readTensor(parts.codes))
  return { quantType, blockSize, shape, codes, scales, packed: readBytes(parts.packed) }
}

/** [rows, columns] row-major to [columns, rows]. */
const transpose = (values: Float32Array, rows: number, columns: number, into: Float32Array): Float32Array => {
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) into[c * rows + r] = values[r * columns + c] as number
  return into
}

/** The float32 values of a 4-bit weight in the layer's own layout. */
const valuesOf = (quantized: QuantizedWeight, into?: Float32Array): Float32Array => {
  if (!quantized.transposed) return dequantize(quantized, into)
  const [rows, columns] = quantized.shape as [number, number]
  return transpose(dequantize(quantized), rows, columns, into ?? new Float32Array(rows * columns))
}

/** `plain`, but those tensors that `quantized` has are in 4 bits. */
const overlay = (plain: Weights, quantized: (name: string) => QuantizedWeight | undefined): Weights => ({
  has: plain.has,
  quantized,
  ...(plain.stored === undefined ? {} : { stored: plain.stored }),
  read: (name, into) => {
    const found = quantized(name)
    return found === undefined ? plain.read(name, into) : valuesOf(found, into)
  }
})

/** Weights with those of `tensors` in 4 bits. */
export const withQuantized = (plain: Weights, { tensors }: QuantizedTensors): Weights => overlay(plain, (name) => tensors.get(name)?.read())

/**
 * The weights with every linear layer of the blocks in 4 bits, quantised one tensor at a time when asked for: what bitsandbytes makes
 * of a model. Norms, embeddings and the output head stay as they are. Weights that are in 4 bits already are kept.
 * @throws DataError where those were quantised with other options
 */
export const quantizedWeights = (model: Model, weights: Weights, options: QuantOptions): Weights => {
  const linears = new Map(model.linears.map((linear) => [`${linear.path}.weight`, linear]))
  // One array for all tensors, so that no more than one of them is in memory as float32 at a time.
  let scratch = new Float32Array(0)
  const readOne = (name: string, size: number): Float32Array => {
    if (scratch.length < size) scratch = new Float32Array(size)
    return weights.read(name, scratch.subarray(0, size))
  }
  return overlay(weights, (name) => {
    const stored = weights.quantized?.(name)
    const linear = linears.get(name)
    if (stored !== undefined) return expectOptions(stored, options, name)
    if (linear === undefined) return undefined
    const { inFeatures, outFeatures, transposed = false } = linear
    const values = readOne(name, inFeatures * outFeatures)
    const rows = transposed ? transpose(values, inFeatures, outFeatures, new Float32Array(values.length)) : values
    return { ...quantize(rows, [outFeatures, inFeatures], options, name), transposed }
  })
}

/** Plain weights with the values of the 4-bit ones: the base that an adapter was trained over with these options. */
export const dequantisedWeights = (model: Model, weights: Weights, options: QuantOptions): Weights => {
  const { has, read } = quantizedWeights(model, weights, options)
  return { has, read }
}

const expectOptions = (stored: QuantizedWeight, options: QuantOptions, name: string): QuantizedWeight => {
  const theirs = optionsOf(stored)
  for (const field of ["quantType", "doubleQuant", "blockSize"] as const) {
    if (theirs[field] === options[field]) continue
    throw new DataError({
      message: `the base is in 4 bits already, with ${field} ${theirs[field]} instead of ${options[field]}`,
      where: name,
      hint: `set ${field}: ${JSON.stringify(theirs[field])}, or start from a base with plain weights`
    })
  }
  return stored
}
