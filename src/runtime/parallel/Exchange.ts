// Weights and gradients between processes: one file that every process holds open and nobody can see. It is unlinked as soon as it is
// open, so that nothing of it remains however the processes end. In memory (/dev/shm) where there is room, otherwise in the work folder.
import { closeSync, openSync, readSync, rmSync, statfsSync, writeSync } from "node:fs"
import { freemem } from "node:os"
import { join } from "node:path"
import { EnvironmentError } from "#src/domain/Errors.ts"
import type { Trainable } from "../ParamStore.ts"

/** One system call moves less than 2 GiB. */
const chunkBytes = 64 * 2 ** 20

const sizeOf = (trainables: readonly Trainable[]): number => trainables.reduce((sum, { p }) => sum + p.byteLength, 0)

/**
 * A file with a region for the weights (0) and one for each replica's gradients (1, 2 …). Returns its descriptor.
 * @throws EnvironmentError where there is no room for it
 */
export const openExchange = (trainables: readonly Trainable[], replicas: number, workDir: string): number => {
  const bytes = sizeOf(trainables) * (replicas + 1)
  for (const folder of [memoryFolder, workDir]) {
    const fd =
      room(folder) < bytes
        ? undefined
        : reserved(join(folder, `anneal-exchange-${process.pid}-${Math.random().toString(36).slice(2)}`), bytes)
    if (fd !== undefined) return fd
  }
  throw new EnvironmentError({
    message: `no room for ${(bytes / 2 ** 20).toFixed(0)} MiB through which ${replicas + 1} workers exchange weights and gradients`,
    where: `/dev/shm and ${workDir}`,
    hint: "free some space, lower workers, or train an adapter with lora(); then run the same command"
  })
}

const memoryFolder = "/dev/shm"

/** Bytes that may be taken of a folder: of memory at most half, because training needs the rest. */
const room = (folder: string): number => {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return folder === memoryFolder ? Math.min(bavail * bsize, freemem() / 2) : bavail * bsize
  } catch {
    return 0
  }
}

/** Zeros are written now, so that no write can run out of space later. */
const reserved = (path: string, bytes: number): number | undefined => {
  let fd: number | undefined
  try {
    fd = openSync(path, "wx+", 0o600)
    rmSync(path)
    const zeros = new Uint8Array(Math.min(chunkBytes, bytes))
    for (let at = 0; at < bytes; at += zeros.length) move(writeSync, fd, zeros.subarray(0, Math.min(zeros.length, bytes - at)), at)
    return fd
  } catch {
    if (fd !== undefined) closeSync(fd)
    return undefined
  }
}

/** readSync or writeSync. */
type Call = (fd: number, bytes: Uint8Array, offset: number, length: number, position: number) => number

const move = (call: Call, fd: number, bytes: Uint8Array, position: number): void => {
  for (let done = 0; done < bytes.length;) {
    const moved = call(fd, bytes, done, Math.min(chunkBytes, bytes.length - done), position + done)
    if (moved === 0) throw new EnvironmentError({ message: "the workers' exchange file is shorter than it was made" })
    done += moved
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength)

/** Moves weights (p) and gradients (g) between a store's own arrays and the regions; every call copies once. */
export class Exchange {
  readonly #fd: number
  readonly #trainables: readonly Trainable[]
  readonly #bytes: number

  constructor(fd: number, trainables: readonly Trainable[]) {
    this.#fd = fd
    this.#trainables = trainables
    this.#bytes = sizeOf(trainables)
  }

  writeWeights(): void {
    this.#move(writeSync, 0, ({ p }) => p)
  }
  readWeights(): void {
    this.#move(readSync, 0, ({ p }) => p)
  }
  writeGradients(region: number): void {
    this.#move(writeSync, region, ({ g }) => g)
  }
  readGradients(region: number): void {
    this.#move(readSync, region, ({ g }) => g)
  }
  close(): void {
    closeSync(this.#fd)
  }

  #move(call: Call, region: number, array: (trainable: Trainable) => Float32Array): void {
    let at = region * this.#bytes
    for (const trainable of this.#trainables) {
      const bytes = bytesOf(array(trainable))
      move(call, this.#fd, bytes, at)
      at += bytes.length
    }
  }
}
