// The store of results: immutable files and folders under the digest of their bytes, each with a record of its files
// (size, sha256, stat) beside it. A look-up proves that nothing changed by stat, and reads the bytes only where a stat differs.
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { open, readdir } from "node:fs/promises"
import { dirname, join } from "node:path"
import { StageError } from "#src/domain/Errors.ts"
import { makeFolder } from "./makeFolder.ts"
import { type Digest, digestOf, type FileEntry, fileStat, filesBelow, hashFile, sameStat } from "./digest.ts"
import { hexOf } from "./Work.ts"
import type { WorkspacePaths } from "./Workspace.ts"

interface ObjectRecord {
  readonly folder: boolean
  readonly files: readonly FileEntry[]
}

export type ObjectState = "intact" | "missing" | "corrupt"

/** Absolute path of an object's file or folder. */
export const objectPath = (workspace: WorkspacePaths, digest: string): string => {
  const hex = hexOf(digest)
  return join(workspace.objects, hex.slice(0, 2), hex.slice(2))
}
const recordPath = (path: string): string => `${path}.json`

const readRecord = (path: string): ObjectRecord | undefined => {
  try {
    return JSON.parse(readFileSync(recordPath(path), "utf8")) as ObjectRecord
  } catch {
    return undefined
  }
}

const writeRecord = (path: string, record: ObjectRecord): void => {
  writeFileSync(`${recordPath(path)}.${process.pid}.tmp`, JSON.stringify(record))
  renameSync(`${recordPath(path)}.${process.pid}.tmp`, recordPath(path))
}

/**
 * Whether the object's bytes are those of its digest. With `remember`, a file that was read again because its stat
 * changed (a copied workspace) is noted down, so that it is read once; without, nothing is written.
 */
export const checkObject = async (workspace: WorkspacePaths, digest: string, remember: boolean): Promise<ObjectState> => {
  const path = objectPath(workspace, digest)
  const top = statSync(path, { throwIfNoEntry: false })
  if (top === undefined) return "missing"
  const record = readRecord(path)
  if (record === undefined || record.folder !== top.isDirectory()) return checkBytes(path, digest, remember)
  const paths = record.folder ? await filesBelow(path, true) : [""]
  if (paths.length !== record.files.length) return "corrupt"
  const same = record.files.every((file, i) => file.path === paths[i] && sameStat(file, fileStat(join(path, file.path))))
  return same ? "intact" : checkBytes(path, digest, remember)
}

const checkBytes = async (path: string, digest: string, remember: boolean): Promise<ObjectState> => {
  const found = await digestOutput(path, false)
  if (found.digest !== digest) return "corrupt"
  if (remember) writeRecord(path, found)
  return "intact"
}

/** Digests a file or folder; with `sync`, flushes it to the disk too. */
export const digestOutput = async (path: string, sync: boolean): Promise<Digest> => {
  const folder = statSync(path).isDirectory()
  const files: FileEntry[] = []
  for (const name of folder ? await filesBelow(path, true) : [""]) {
    const file = join(path, name)
    const sha256 = await hashFile(file, sync)
    files.push({ path: name, ...fileStat(file), sha256 })
  }
  return digestOf(files, folder)
}

/**
 * Moves an output into the store; the path is gone afterwards. What is there already and intact stays.
 * Errors: StageError for links and special files; Node's errors for a full disk or a read-only folder.
 */
export const publishObject = async (workspace: WorkspacePaths, from: string, where: string): Promise<Digest> => {
  await refuseLinks(from, where)
  const found = await digestOutput(from, true)
  const path = objectPath(workspace, found.digest)
  if ((await checkObject(workspace, found.digest, false)) === "intact") {
    rmSync(from, { recursive: true, force: true })
    return found
  }
  makeFolder(dirname(path))
  rmSync(path, { recursive: true, force: true })
  renameSync(from, path)
  // The rename changed the ctimes: the record holds the stats of the object where it lies.
  const files = found.files.map((file) => ({ ...file, ...fileStat(join(path, file.path)) }))
  writeRecord(path, { folder: found.folder, files })
  await syncFolder(dirname(path))
  return { ...found, files }
}

const refuseLinks = async (path: string, where: string): Promise<void> => {
  const entries = statSync(path).isDirectory() ? await readdir(path, { recursive: true, withFileTypes: true }) : []
  const odd = entries.find((entry) => !entry.isFile() && !entry.isDirectory())
  if (odd === undefined) return
  throw new StageError({ message: `an output holds ${odd.name}, which is neither a file nor a folder`, where, hint: "write plain files" })
}

const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, "r")
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
