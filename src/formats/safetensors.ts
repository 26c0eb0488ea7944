// The safetensors format (https://github.com/huggingface/safetensors): u64 length of a JSON header, the header
// { name: { dtype, shape, data_offsets } , "__metadata__": {…} }, then the tensors' bytes without gaps. Little-endian.
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { decodeObject, parseObject } from "./decode.ts"

/** Bytes of one element. */
const elementBytes: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8
}

export interface TensorEntry {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  /** Byte range in the file. */
  readonly start: number
  readonly end: number
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, TensorEntry>
}

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Entry = Schema.Struct({ dtype: Schema.String, shape: Schema.Array(Count), data_offsets: Schema.Tuple([Count, Count]) })
const Header = Schema.Record(Schema.String, Entry)
const Metadata = Schema.Struct({ __metadata__: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)) })

/** The reference implementation's limit for the header. */
const maxHeaderBytes = 100_000_000
/** Bytes of the length field before the header. */
export const lengthBytes = 8

const broken = (where: string, why: string): DataError =>
  new DataError({ message: "the safetensors file is damaged", where, why, hint: "copy or download the file again" })

/** Length of the header from the first 8 bytes of a file of `fileBytes` bytes. @throws DataError where the file is cut short */
export const headerLength = (first: Uint8Array, fileBytes: number, where: string): number => {
  if (first.length < lengthBytes)
    throw broken(where, `it has ${fileBytes} bytes, fewer than the ${lengthBytes} that say how long its header is`)
  const length = Number(new DataView(first.buffer, first.byteOffset, lengthBytes).getBigUint64(0, true))
  if (length > maxHeaderBytes) throw broken(where, `its header would have ${length} bytes: it is no safetensors file`)
  if (lengthBytes + length > fileBytes) throw broken(where, `it is cut short: header of ${length} bytes, file of ${fileBytes}`)
  return length
}

const sizeOf = ({ dtype, shape }: Pick<TensorEntry, "dtype" | "shape">): number =>
  shape.reduce((product, dim) => product * dim, elementBytes[dtype] as number)

/** Checks each tensor's size and that they fill the file from the header to its end, once each. */
const checkLayout = (tensors: readonly TensorEntry[], dataStart: number, fileBytes: number, where: string): void => {
  let at = dataStart
  for (const tensor of tensors.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    const { name, start, end } = tensor
    if (elementBytes[tensor.dtype] === undefined) throw broken(where, `${name} has the unknown dtype ${tensor.dtype}`)
    if (end - start !== sizeOf(tensor)) {
      throw broken(
        where,
        `${name}: ${tensor.dtype} of shape [${tensor.shape.join(", ")}] takes ${sizeOf(tensor)} bytes, not ${end - start}`
      )
    }
    if (end > fileBytes) throw broken(where, `it is cut short: ${name} ends at byte ${end}, the file has ${fileBytes}`)
    if (start !== at)
      throw broken(where, `${name} starts at byte ${start}, ${start < at ? "inside" : "with a gap after"} the tensor before it`)
    at = end
  }
  if (at !== fileBytes) throw broken(where, `${fileBytes - at} bytes follow the last tensor`)
}

/** Reads and checks a header. `json` holds exactly the header's bytes. @throws DataError naming what is wrong */
export const parseHeader = (json: Uint8Array, fileBytes: number, where: string): SafetensorsHeader => {
  let text: string
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(json)
  } catch {
    throw broken(where, "its header is not UTF-8")
  }
  const { __metadata__, ...entries } = parseObject(text, where)
  const { __metadata__: metadata = {} } = decodeObject(Metadata, __metadata__ === undefined ? {} : { __metadata__ }, where)
  const dataStart = lengthBytes + json.length
  const tensors = Object.entries(decodeObject(Header, entries, where)).map(([name, { dtype, shape, data_offsets }]): TensorEntry => ({
    name,
    dtype,
    shape,
    start: dataStart + data_offsets[0],
    end: dataStart + data_offsets[1]
  }))
  checkLayout(tensors, dataStart, fileBytes, where)
  return { metadata, tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])) }
}

export interface TensorShape {
  readonly name: string
  readonly shape: readonly number[]
}

/** Types that anneal writes: bytes of an element as above. */
export type WrittenDType = "F32" | "F16" | "BF16"

const byName = (a: TensorShape, b: TensorShape): number => (a.name < b.name ? -1 : 1)

/**
 * The first part of a file that holds these tensors, all of one type (length field and header, padded to 8 bytes); their data follow
 * in the order of `tensors` of the result (by name). The same tensors always give the same bytes.
 */
export const layout = (
  tensors: readonly TensorShape[],
  dtype: WrittenDType = "F32"
): { readonly head: Uint8Array; readonly tensors: readonly TensorShape[] } => {
  const sorted = tensors.toSorted(byName)
  let at = 0
  const entries = sorted.map(({ name, shape }) => {
    const start = at
    at += sizeOf({ dtype, shape })
    return [name, { dtype, shape, data_offsets: [start, at] }]
  })
  const json = new TextEncoder().encode(JSON.stringify({ __metadata__: { format: "pt" }, ...Object.fromEntries(entries) }))
  const head = new Uint8Array(lengthBytes + Math.ceil(json.length / 8) * 8).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - lengthBytes), true)
  head.set(json, lengthBytes)
  return { head, tensors: sorted }
}
