// What a written file is, for a later check that it still is: flushed to the disk, with its size and digest.
import { createHash } from "node:crypto"
import { closeSync, fstatSync, fsyncSync, openSync, readSync } from "node:fs"

export interface FileRecord {
  readonly bytes: number
  /** Hex. */
  readonly sha256: string
}

/** Flushes a file that was just written and takes its record. @throws the file system's errors */
export const sealFile = (path: string): FileRecord =>
  withFile(path, "r+", (file) => {
    fsyncSync(file)
    return recordOf(file)
  })

/** Whether the file still has the bytes that were written. @throws the file system's errors */
export const isIntact = (path: string, record: FileRecord): boolean =>
  withFile(path, "r", (file) => fstatSync(file).size === record.bytes && recordOf(file).sha256 === record.sha256)

/** Flushes a folder's list of names, so that a rename in it survives a power cut. */
export const sealFolder = (path: string): void => withFile(path, "r", fsyncSync)

const withFile = <A>(path: string, mode: "r" | "r+", use: (file: number) => A): A => {
  const file = openSync(path, mode)
  try {
    return use(file)
  } finally {
    closeSync(file)
  }
}

const recordOf = (file: number): FileRecord => {
  const hash = createHash("sha256")
  const chunk = new Uint8Array(2 ** 22)
  let bytes = 0
  for (;;) {
    const got = readSync(file, chunk, 0, chunk.length, bytes)
    if (got === 0) return { bytes, sha256: hash.digest("hex") }
    hash.update(chunk.subarray(0, got))
    bytes += got
  }
}
