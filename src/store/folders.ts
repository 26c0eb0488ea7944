// Folders that stages and commands take over from elsewhere: copies of stored ones, and bases found again by their digest.
import { constants, copyFileSync, mkdirSync, statSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { DataError } from "#src/domain/Errors.ts"
import { filesBelow } from "./digest.ts"
import { openSources } from "./Sources.ts"
import type { WorkspacePaths } from "./Workspace.ts"

/**
 * Copies the files below a folder, as clones where the file system can share their blocks. No hard links: a link changes the
 * stored file's ctime, so that its bytes would be read again at every look-up.
 */
export const copyFolder = async (from: string, to: string): Promise<void> => {
  for (const path of await filesBelow(from, true)) {
    mkdirSync(dirname(join(to, path)), { recursive: true })
    copyFileSync(join(from, path), join(to, path), constants.COPYFILE_FICLONE)
  }
}

/**
 * The folder of a base model that an adapter was trained over, its bytes proven by digest (files whose stat is known are not read).
 * @throws DataError where it is gone or not the same any more
 */
export const findBase = async (workspace: WorkspacePaths, base: { readonly path: string; readonly digest: string }): Promise<string> => {
  const path = resolve(workspace.root, base.path)
  const hint = "put the base model back there; an adapter gives other answers over another base"
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw new DataError({ message: "the adapter's base model is gone", where: path, hint })
  const sources = openSources(workspace)
  const found = await sources.digest(path)
  sources.save()
  if (found.digest === base.digest) return path
  throw new DataError({
    message: "the adapter's base model has changed",
    where: path,
    why: `${found.digest}, trained over ${base.digest}`,
    hint
  })
}
