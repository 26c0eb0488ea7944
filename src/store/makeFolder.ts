// Making folders, with the true cause where that fails.
import { accessSync, constants, existsSync, mkdirSync } from "node:fs"
import { dirname } from "node:path"

/** Makes a folder and those above it. Errors: Node's (EROFS, EACCES, ENOSPC …). */
export const makeFolder = (path: string): void => {
  try {
    mkdirSync(path, { recursive: true })
  } catch (error) {
    // On a read-only file system Node says ENOENT here: asking for the right to write says why.
    accessSync(nearestExisting(path), constants.W_OK)
    throw error
  }
}

const nearestExisting = (path: string): string => (existsSync(path) ? path : nearestExisting(dirname(path)))
