// One file of the hub: goes on where a part of it lies, in attempts while bytes keep coming, and is proven before it gets its name.
import { createHash } from "node:crypto"
import { createReadStream, existsSync, renameSync, rmSync, statSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { DataError, isAnnealError } from "#src/domain/Errors.ts"
import type { HubName } from "#src/domain/hubName.ts"
import { hashFile } from "./digest.ts"
import { type HubClient, stopped, unreachable } from "./hubClient.ts"
import type { HubFile } from "./hubFiles.ts"

export interface Fetching {
  readonly client: HubClient
  readonly name: HubName
  readonly commit: string
  readonly signal?: AbortSignal | undefined
  /** Called with the bytes of this file that are on the disk now. */
  readonly onBytes: (done: number) => void
}

/** Connections in a row that may break without one byte. */
const patience = 4
const stallMs = 60_000

/** What of the file is in the folder: all of it, or its part. */
export const bytesThere = (folder: string, { name }: HubFile): number => sizeOf(join(folder, name)) || sizeOf(partOf(folder, name))

const partOf = (folder: string, name: string): string => join(folder, `${name}.part`)

/**
 * Brings the file into the folder, unless it is there and as it should be.
 * @returns its sha256
 * @throws DataError where its bytes are not those of the listing: the part is removed; EnvironmentError, InterruptedError
 */
export const fetchFile = async (fetching: Fetching, folder: string, file: HubFile): Promise<string> => {
  const path = join(folder, file.name)
  if (existsSync(path)) {
    const kept = await proven(path, file)
    fetching.onBytes(file.size)
    if (kept !== undefined) return kept
    rmSync(path)
  }
  const part = partOf(folder, file.name)
  await fill(fetching, part, file)
  const sha256 = await proven(part, file)
  if (sha256 === undefined) {
    rmSync(part, { force: true })
    throw new DataError({
      message: `${file.name} of ${fetching.name.text} did not arrive as the hub describes it`,
      where: part,
      why: `its ${file.hash.kind === "git" ? "git hash" : "sha256"} or its size is another one; the part was removed`,
      hint: "run the same command: the file is downloaded anew. If it fails again, check HF_ENDPOINT and proxies"
    })
  }
  renameSync(part, path)
  return sha256
}

/** The file's sha256 where its size and hash are those of the listing; flushed to the disk. */
const proven = async (path: string, { size, hash }: HubFile): Promise<string | undefined> => {
  if (sizeOf(path) !== size) return undefined
  const sha256 = await hashFile(path, true)
  return hash.hex === (hash.kind === "sha256" ? sha256 : await gitHash(path, size)) ? sha256 : undefined
}

/** sha1 of the file as a git blob. */
const gitHash = async (path: string, size: number): Promise<string> => {
  const sha1 = createHash("sha1").update(`blob ${size}\0`)
  for await (const chunk of createReadStream(path)) sha1.update(chunk as Buffer)
  return sha1.digest("hex")
}

/** Makes connections until the part has the file's size (or more, which its proof then refuses). */
const fill = async (fetching: Fetching, part: string, file: HubFile): Promise<void> => {
  const { name, client, signal } = fetching
  if (sizeOf(part) > file.size) rmSync(part)
  for (let failures = 0; !existsSync(part) || sizeOf(part) < file.size;) {
    const from = sizeOf(part)
    let why = "it ended early"
    try {
      await transfer(fetching, part, file, from)
    } catch (thrown) {
      if (isAnnealError(thrown) || !isBroken(thrown)) throw thrown
      why = thrown.message
    }
    if (signal?.aborted === true) throw stopped(name)
    failures = sizeOf(part) > from ? 0 : failures + 1
    if (failures >= patience)
      throw unreachable(name, client.page(name), `the connection broke at byte ${sizeOf(part)} of ${file.name}: ${why}`)
  }
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0

/** A connection's end, as opposed to a disk that is full: what fetch throws has no errno of a file operation. */
const isBroken = (thrown: unknown): thrown is Error =>
  thrown instanceof TypeError || (thrown instanceof DOMException && (thrown.name === "AbortError" || thrown.name === "TimeoutError"))

/** One connection: writes what arrives behind the first `from` bytes. */
const transfer = async ({ client, name, commit, signal, onBytes }: Fetching, part: string, file: HubFile, from: number): Promise<void> => {
  const stall = new AbortController()
  const watch = setTimeout(() => stall.abort(), stallMs)
  try {
    const response = await client.open(name, commit, file.name, from, { signal, stall: stall.signal })
    // A server that cannot go on at a byte sends the whole file: begin anew.
    const start = response.status === 206 && startOf(response) === from ? from : 0
    if (response.status === 416 || (response.status === 206 && start !== from)) {
      await response.body?.cancel()
      rmSync(part, { force: true })
      throw new TypeError("the server cannot go on at this byte")
    }
    const out = await open(part, start > 0 ? "r+" : "w")
    try {
      let done = start
      for await (const chunk of response.body ?? []) {
        for (let at = 0; at < chunk.length;) at += (await out.write(chunk, at, chunk.length - at, done + at)).bytesWritten
        done += chunk.length
        watch.refresh()
        if (done > file.size) break
        onBytes(done)
      }
    } finally {
      await out.close()
    }
  } finally {
    clearTimeout(watch)
  }
}

const startOf = (response: Response): number => Number(/^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1] ?? -1)
