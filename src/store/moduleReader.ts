// Files as the module graph of a user's stage reads them.
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs"

export interface ModuleReader {
  readonly read: (path: string) => string
  readonly isFile: (path: string) => boolean
  readonly exists: (path: string) => boolean
  readonly realPath: (path: string) => string
}

export const moduleReader: ModuleReader = {
  read: (path) => readFileSync(path, "utf8"),
  isFile: (path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true,
  exists: existsSync,
  realPath: (path) => realpathSync(path)
}
