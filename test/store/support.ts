// A store in a temporary folder that is gone after the test.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { pathsOf, type WorkspacePaths } from "#src/store/Workspace.ts"

export const temporaryStore = (): WorkspacePaths => {
  const root = mkdtempSync(join(tmpdir(), "anneal-store-"))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  return pathsOf(root, join(root, "artifacts"))
}
