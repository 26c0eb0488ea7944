// Digests of what comes from outside: source files and base model folders. A file is read again only when its stat changed.
import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { makeFolder } from "./makeFolder.ts"
import { type Digest, digestOf, type FileEntry, fileStat, filesBelow, type FileStat, hashFile, isSettled, sameStat } from "./digest.ts"
import type { WorkspacePaths } from "./Workspace.ts"

interface Memo extends FileStat {
  readonly sha256: string
}

export interface Sources {
  /** Digest of a file or folder by absolute path (hidden files of a folder do not count). Errors: Node's, ENOENT among them. */
  readonly digest: (path: string) => Promise<Digest>
  /** Keeps what was learnt for the next command. */
  readonly save: () => void
}

const readMemo = (path: string): Record<string, Memo> => {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Record<string, Memo>
  } catch {
    return {}
  }
}

export const openSources = (workspace: WorkspacePaths): Sources => {
  const memo = new Map(Object.entries(readMemo(workspace.sources)))
  let changed = false
  const fileEntry = async (file: string, path: string): Promise<FileEntry> => {
    const name = relative(workspace.root, file)
    const before = fileStat(file)
    const known = memo.get(name)
    if (known !== undefined && sameStat(known, before)) return { path, ...known }
    const now = Date.now()
    const found = { ...before, sha256: await hashFile(file) }
    if (isSettled(before, now)) {
      memo.set(name, found)
      changed = true
    }
    return { path, ...found }
  }
  return {
    digest: async (path) => {
      if (!statSync(path).isDirectory()) return digestOf([await fileEntry(path, "")], false)
      const files: FileEntry[] = []
      for (const name of await filesBelow(path, false)) files.push(await fileEntry(join(path, name), name))
      return digestOf(files, true)
    },
    save: () => {
      if (!changed) return
      makeFolder(dirname(workspace.sources))
      writeFileSync(`${workspace.sources}.${process.pid}.tmp`, JSON.stringify(Object.fromEntries(memo)))
      renameSync(`${workspace.sources}.${process.pid}.tmp`, workspace.sources)
    }
  }
}
