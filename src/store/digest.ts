// sha256 of files and folders, and the stat that tells whether a file changed since it was digested.
import { createHash } from "node:crypto"
import { open, readdir } from "node:fs/promises"
import { statSync } from "node:fs"
import { join } from "node:path"

/** What must be equal for a file to count as unchanged. ctime and inode catch bytes changed under a kept size and mtime. */
export interface FileStat {
  readonly size: number
  readonly ino: string
  readonly ctime: string
  readonly mtime: string
}

export interface FileEntry extends FileStat {
  /** Relative to the folder, with "/"; "" for a file that stands alone. */
  readonly path: string
  /** Hex. */
  readonly sha256: string
}

export interface Digest {
  /** "sha256:<hex>" of a file's bytes or of a folder's sorted manifest. */
  readonly digest: string
  readonly bytes: number
  readonly folder: boolean
  readonly files: readonly FileEntry[]
}

/** @throws Node's ENOENT */
export const fileStat = (path: string): FileStat => {
  const s = statSync(path, { bigint: true })
  return { size: Number(s.size), ino: String(s.ino), ctime: String(s.ctimeNs), mtime: String(s.mtimeNs) }
}

export const sameStat = (a: FileStat, b: FileStat): boolean =>
  a.size === b.size && a.ino === b.ino && a.ctime === b.ctime && a.mtime === b.mtime

/** Hex sha256 of a file, read in pieces so that the event loop stays free; `sync` also flushes it to the disk. */
export const hashFile = async (path: string, sync = false): Promise<string> => {
  const file = await open(path, "r")
  try {
    const hash = createHash("sha256")
    const buffer = Buffer.allocUnsafe(1 << 20)
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length)
      if (bytesRead === 0) break
      hash.update(buffer.subarray(0, bytesRead))
    }
    if (sync) await file.sync()
    return hash.digest("hex")
  } finally {
    await file.close()
  }
}

/** Relative paths of the files below a folder, sorted by code units. Links are followed; `hidden` keeps dot names. */
export const filesBelow = async (folder: string, hidden: boolean): Promise<readonly string[]> => {
  const found: string[] = []
  const visit = async (prefix: string): Promise<void> => {
    for (const name of await readdir(join(folder, prefix))) {
      if (!hidden && name.startsWith(".")) continue
      const path = prefix === "" ? name : `${prefix}/${name}`
      if (statSync(join(folder, path)).isDirectory()) await visit(path)
      else found.push(path)
    }
  }
  await visit("")
  return found.sort()
}

/** The digest of a folder: sha256 over one line `"path" size sha256` a file, paths in Unicode form C, sorted. */
export const folderDigest = (files: readonly Pick<FileEntry, "path" | "size" | "sha256">[]): string => {
  const lines = files.map((file) => `${JSON.stringify(file.path.normalize("NFC"))} ${file.size} ${file.sha256}\n`).sort()
  return `sha256:${createHash("sha256").update(lines.join("")).digest("hex")}`
}

/** Puts a digest together from its files. */
export const digestOf = (files: readonly FileEntry[], folder: boolean): Digest => ({
  digest: folder ? folderDigest(files) : `sha256:${files[0]?.sha256 ?? ""}`,
  bytes: files.reduce((sum, file) => sum + file.size, 0),
  folder,
  files
})

/** The smallest age of a ctime at which an equal stat proves equal bytes: file systems stamp in steps of up to 10 ms. */
const settledMs = 100

/** Whether a stat taken at `now` (ms) can be trusted later: a file changed in the same clock step would look the same. */
export const isSettled = (stat: FileStat, now: number): boolean => now - Number(BigInt(stat.ctime) / 1_000_000n) > settledMs
