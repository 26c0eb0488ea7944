// The commit that a run was started from, for its journal.
import { execFile } from "node:child_process"
import { promisify } from "node:util"

const git = async (folder: string, ...args: readonly string[]): Promise<string> =>
  (await promisify(execFile)("git", ["-C", folder, ...args], { timeout: 2000 })).stdout.trim()

/** "<commit>", "<commit>+dirty" where files differ from it, or null outside a repository and without git. */
export const gitState = async (folder: string): Promise<string | null> => {
  try {
    const [commit, changes] = await Promise.all([
      git(folder, "rev-parse", "HEAD"),
      git(folder, "status", "--porcelain", "--untracked-files=no")
    ])
    return changes === "" ? commit : `${commit}+dirty`
  } catch {
    return null
  }
}
