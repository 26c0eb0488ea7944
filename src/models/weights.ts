// Files of a model folder: finds the safetensors files, reads one tensor at a time from its place (nothing is held twice in
// memory) and writes new ones. The only file of models and adapters that touches the disk.
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from "node:fs"
import { dirname, join } from "node:path"
import { DataError } from "#src/domain/Errors.ts"
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "#src/formats/float16.ts"
import { headerLength, layout, lengthBytes, parseHeader } from "#src/formats/safetensors.ts"
import type { TensorEntry, TensorShape, WrittenDType } from "#src/formats/safetensors.ts"
import { parseShardIndex } from "#src/formats/shardIndex.ts"

/** A tensor and the file that holds it. */
export interface StoredTensor extends TensorEntry {
  readonly path: string
}
export type StoredTensors = ReadonlyMap<string, StoredTensor>

/** Text of a file that must be there. @throws DataError */
export const readText = (path: string): string => {
  if (!existsSync(path)) throw missing(path)
  return readFileSync(path, "utf8")
}

const missing = (path: string): DataError =>
  new DataError({
    message: `no such file: ${path}`,
    where: dirname(path),
    why: "a model is a folder in Hugging Face layout: config.json, model.safetensors, tokenizer.json",
    hint: "check the path of the model folder"
  })

/** One system call moves less than 2 GiB. */
const chunkBytes = 64 * 2 ** 20

/** Fills `into` from the file's bytes at `position`. */
const readFully = (file: number, into: Uint8Array, position: number, path: string): void => {
  for (let done = 0; done < into.length;) {
    const got = readSync(file, into, done, Math.min(chunkBytes, into.length - done), position + done)
    if (got === 0) throw new DataError({ message: "the file became shorter while it was read", where: path })
    done += got
  }
}

const withFile = <A>(path: string, use: (file: number) => A): A => {
  const file = openSync(path, "r")
  try {
    return use(file)
  } finally {
    closeSync(file)
  }
}

/** Header of one safetensors file. @throws DataError where the file is missing or damaged */
export const openTensorFile = (path: string): StoredTensors => {
  if (!existsSync(path)) throw missing(path)
  return withFile(path, (file) => {
    const size = fstatSync(file).size
    const first = new Uint8Array(Math.min(lengthBytes, size))
    readFully(file, first, 0, path)
    const json = new Uint8Array(headerLength(first, size, path))
    readFully(file, json, lengthBytes, path)
    return new Map([...parseHeader(json, size, path).tensors].map(([name, entry]) => [name, { ...entry, path }]))
  })
}

/** All tensors of a model folder: of model.safetensors, or of the shards that its index names. @throws DataError */
export const openTensors = (folder: string): StoredTensors => {
  const single = join(folder, "model.safetensors")
  const index = `${single}.index.json`
  if (existsSync(single) || !existsSync(index)) return openTensorFile(single)
  const shardOf = parseShardIndex(readText(index), index)
  const shards = new Map([...new Set(shardOf.values())].map((shard) => [shard, openTensorFile(join(folder, shard))]))
  const find = (name: string, shard: string): StoredTensor => {
    const tensor = shards.get(shard)?.get(name)
    if (tensor !== undefined) return tensor
    throw new DataError({ message: `tensor ${name} is not in ${shard}, where the index says it is`, where: index })
  }
  return new Map([...shardOf].map(([name, shard]) => [name, find(name, shard)]))
}

/** What turns 16-bit patterns into float32, by dtype. float32 is read as it is. */
const halfDecoders: Readonly<Record<string, (bits: Uint16Array, into: Float32Array) => void>> = {
  F16: float16ToFloat32,
  BF16: bfloat16ToFloat32
}
export const isReadable = (dtype: string): boolean => dtype === "F32" || dtype in halfDecoders

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1)

/** A stored float32, float16 or bfloat16 tensor as float32. @throws DataError */
export const readTensor = (tensor: StoredTensor, into: Float32Array = new Float32Array(sizeOf(tensor.shape))): Float32Array => {
  const { path, name, start, shape } = tensor
  if (into.length !== sizeOf(shape)) throw new RangeError(`${name} has ${sizeOf(shape)} elements, the target array ${into.length}`)
  const decode = halfDecoders[tensor.dtype]
  withFile(path, (file) => {
    if (decode === undefined) return readFully(file, new Uint8Array(into.buffer, into.byteOffset, into.byteLength), start, path)
    const bits = new Uint16Array(Math.min(into.length, chunkBytes / 2))
    for (let at = 0; at < into.length; at += bits.length) {
      const part = bits.subarray(0, Math.min(bits.length, into.length - at))
      readFully(file, new Uint8Array(part.buffer, 0, part.byteLength), start + at * 2, path)
      decode(part, into.subarray(at, at + part.length))
    }
  })
  return into
}

/** A stored tensor's bytes as they are. @throws DataError */
export const readBytes = ({ path, start, end }: StoredTensor): Uint8Array => {
  const bytes = new Uint8Array(end - start)
  withFile(path, (file) => readFully(file, bytes, start, path))
  return bytes
}

/** Whether two stored tensors hold the same weights. */
export const sameTensor = (a: StoredTensor, b: StoredTensor): boolean => {
  if (a.shape.join() !== b.shape.join()) return false
  if (a.dtype !== b.dtype) return isReadable(a.dtype) && isReadable(b.dtype) && sameBytes(readTensor(a), readTensor(b))
  return withFile(a.path, (one) =>
    withFile(b.path, (other) => {
      const size = a.end - a.start
      const [left, right] = [new Uint8Array(Math.min(size, chunkBytes)), new Uint8Array(Math.min(size, chunkBytes))]
      for (let done = 0; done < size; done += left.length) {
        const [x, y] = [left, right].map((part) => part.subarray(0, size - done)) as [Uint8Array, Uint8Array]
        readFully(one, x, a.start + done, a.path)
        readFully(other, y, b.start + done, b.path)
        if (!sameBytes(x, y)) return false
      }
      return true
    })
  )
}

const sameBytes = (a: Uint8Array | Float32Array, b: Uint8Array | Float32Array): boolean => {
  const bytes = ({ buffer, byteOffset, byteLength }: typeof a): Buffer => Buffer.from(buffer, byteOffset, byteLength)
  return bytes(a).equals(bytes(b))
}

export const hasFile = (path: string): boolean => existsSync(path)

/** Writes a text file and the folder that it lies in. */
export const writeText = (path: string, text: string): void => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** What turns float32 values into 16-bit patterns. */
const halfEncoders = { F16: float32ToFloat16, BF16: float32ToBfloat16 }

/** Writes a safetensors file of tensors in one type, rounded to the nearest value; `read` is asked for one at a time. */
export const writeTensorFile = (
  path: string,
  tensors: readonly TensorShape[],
  read: (name: string) => Float32Array,
  dtype: WrittenDType = "F32"
): void => {
  const { head, tensors: order } = layout(tensors, dtype)
  mkdirSync(dirname(path), { recursive: true })
  const file = openSync(path, "w")
  const write = (bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, Math.min(chunkBytes, bytes.length - done))
  }
  try {
    write(head)
    for (const { name } of order) {
      const data = read(name)
      if (dtype === "F32") write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
      else writeHalf(data, halfEncoders[dtype], write)
    }
  } finally {
    closeSync(file)
  }
}

const writeHalf = (
  data: Float32Array,
  encode: (values: Float32Array, into: Uint16Array) => void,
  write: (bytes: Uint8Array) => void
): void => {
  const bits = new Uint16Array(Math.min(data.length, chunkBytes / 2))
  for (let at = 0; at < data.length; at += bits.length) {
    const part = data.subarray(at, at + bits.length)
    encode(part, bits.subarray(0, part.length))
    write(new Uint8Array(bits.buffer, 0, 2 * part.length))
  }
}
