// Streams float32 tensors to and from a safetensors file without a copy in between, hashing on the way: the arrays may
// lie in shared memory and be large.
import { createHash } from "node:crypto"
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs"
import { DataError } from "#src/domain/Errors.ts"
import { headerLength, layout, lengthBytes, parseHeader, type SafetensorsHeader } from "#src/formats/safetensors.ts"

export interface NamedTensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: Float32Array
}

/** What was written, for a later check. */
export interface FileRecord {
  readonly bytes: number
  /** Hex. */
  readonly sha256: string
}

/** One system call moves less than 2 GiB. */
const chunkBytes = 64 * 2 ** 20
const chunks = function* (data: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < data.length; at += chunkBytes) yield data.subarray(at, at + chunkBytes)
}
const bytesOf = ({ data }: NamedTensor): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

/** Writes and flushes a new file. The same tensors always give the same bytes. */
export const writeTensors = (path: string, tensors: readonly NamedTensor[]): FileRecord => {
  const { head, tensors: order } = layout(tensors)
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]))
  const hash = createHash("sha256")
  let bytes = 0
  const file = openSync(path, "wx")
  try {
    for (const part of [head, ...order.map(({ name }) => bytesOf(byName.get(name) as NamedTensor))]) {
      for (const chunk of chunks(part)) {
        hash.update(chunk)
        for (let done = 0; done < chunk.length;) done += writeSync(file, chunk, done)
        bytes += chunk.length
      }
    }
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  return { bytes, sha256: hash.digest("hex") }
}

/** Whether the file still has the bytes that were written. @throws the file system's errors */
export const isIntact = (path: string, record: FileRecord): boolean => {
  const file = openSync(path, "r")
  try {
    if (fstatSync(file).size !== record.bytes) return false
    const hash = createHash("sha256")
    const buffer = new Uint8Array(Math.min(chunkBytes, record.bytes))
    for (let got = readSync(file, buffer); got > 0; got = readSync(file, buffer)) hash.update(buffer.subarray(0, got))
    return hash.digest("hex") === record.sha256
  } finally {
    closeSync(file)
  }
}

/** Fills each tensor's `data` from the file. @throws DataError where one is missing or has another shape */
export const readTensors = (path: string, tensors: readonly NamedTensor[]): void => {
  const file = openSync(path, "r")
  try {
    const { tensors: entries } = readHeader(file, path)
    for (const tensor of tensors) {
      const entry = entries.get(tensor.name)
      if (entry?.dtype !== "F32" || entry.shape.join() !== tensor.shape.join())
        throw new DataError({ message: `tensor ${tensor.name} of shape [${tensor.shape.join(", ")}] is not there`, where: path })
      let at = entry.start
      for (const chunk of chunks(bytesOf(tensor))) at += readFully(file, chunk, at)
    }
  } finally {
    closeSync(file)
  }
}

const readFully = (file: number, into: Uint8Array, position: number): number => {
  let done = 0
  while (done < into.length) {
    const got = readSync(file, into, done, into.length - done, position + done)
    if (got === 0) break
    done += got
  }
  return done
}

const readHeader = (file: number, path: string): SafetensorsHeader => {
  const size = fstatSync(file).size
  const first = new Uint8Array(lengthBytes)
  readFully(file, first, 0)
  const json = new Uint8Array(headerLength(first, size, path))
  readFully(file, json, lengthBytes)
  return parseHeader(json, size, path)
}
