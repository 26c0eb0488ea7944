// Private work folders: one per attempt at a stage. What a stage writes lies here until it is published or thrown away.
import { readdirSync, rmdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { makeFolder } from "./makeFolder.ts"
import { liveAttempts } from "./Lease.ts"
import type { WorkspacePaths } from "./Workspace.ts"

export const hexOf = (digest: string): string => digest.slice(digest.indexOf(":") + 1)

/** Where a stage writes output `name`: the one rule that the engine and a stage's own process share. */
export const outputPath = (workDir: string, name: string): string => join(workDir, "out", name)

export const workFolder = (workspace: WorkspacePaths, key: string, attempt: string): string =>
  join(workspace.work, `${hexOf(key)}.${attempt}`)

export const checkpointFolder = (workspace: WorkspacePaths, key: string): string => join(workspace.checkpoints, hexOf(key))

export const makeWork = (workDir: string): void => {
  makeFolder(join(workDir, "out"))
}

/** Removes a folder that nothing was put in. */
export const removeEmpty = (path: string): void => {
  try {
    rmdirSync(path)
  } catch {
    // It holds something, or is gone.
  }
}

export const remove = (path: string): void => rmSync(path, { recursive: true, force: true })

/** Removes what crashed attempts left: a work folder exists only while its attempt holds a lease. */
export const sweepWork = (workspace: WorkspacePaths): void => {
  // The folders first: one that is made while the leases are read belongs to a lease that is read.
  const folders = namesIn(workspace.work)
  const live = liveAttempts(workspace)
  for (const name of folders) if (!live.has(name.slice(name.indexOf(".") + 1))) remove(join(workspace.work, name))
}

export const namesIn = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
