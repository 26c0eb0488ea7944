// The commit that a run was started from, for its journal.
import { execFile } from "node:child_process"
import { promisify } from "node:util"

/** "<commit>", "<commit>+dirty" where files differ from it, or null outside a repository, before its first commit and without git. */
export const gitState = async (folder: string): Promise<string | null> => {
  const args = ["-C", folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
  const told = await promisify(execFile)("git", args, { timeout: 2000 }).catch(() => null)
  const commit = /^# branch\.oid ([0-9a-f]+)$/m.exec(told?.stdout ?? "")?.[1]
  if (told === null || commit === undefined) return null
  return /^[^#]/m.test(told.stdout) ? `${commit}+dirty` : commit
}
