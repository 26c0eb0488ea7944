// Copies of stored folders.
import { constants, copyFileSync, mkdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { filesBelow } from "./digest.ts"

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
