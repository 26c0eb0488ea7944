// A workspace in a temporary folder that is gone after the test.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { type Bench, benchIn } from "./stages.ts"

/** A folder with pipelines/ in it. */
export const temporaryWorkspace = (): string => {
  const root = mkdtempSync(join(tmpdir(), "anneal-test-"))
  mkdirSync(join(root, "pipelines"))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  return root
}

export const bench = (): Bench => benchIn(temporaryWorkspace())
