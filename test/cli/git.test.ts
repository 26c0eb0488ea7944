// What a run's journal says of the commit it was started from.
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { gitState } from "#src/cli/git.ts"

const folder = mkdtempSync(join(tmpdir(), "anneal-git-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const git = (...args: readonly string[]): string =>
  execFileSync("git", ["-C", folder, "-c", "user.name=a", "-c", "user.email=a@b.c", ...args], { encoding: "utf8", stdio: "pipe" }).trim()

test.skipIf(spawnSync("git", ["--version"]).status !== 0)("the commit, and whether files differ from it", async () => {
  expect(await gitState(folder)).toBe(null)
  git("init", "--quiet")
  expect(await gitState(folder)).toBe(null)
  writeFileSync(join(folder, "a"), "1")
  git("add", "a")
  git("commit", "--quiet", "-m", "first")
  const commit = git("rev-parse", "HEAD")
  expect(await gitState(folder)).toBe(commit)
  writeFileSync(join(folder, "new"), "not followed by git")
  expect(await gitState(folder)).toBe(commit)
  writeFileSync(join(folder, "a"), "2")
  expect(await gitState(folder)).toBe(`${commit}+dirty`)
})
