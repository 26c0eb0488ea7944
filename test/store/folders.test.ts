// Copies of stored folders, and an adapter's base proven by its digest.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { copyFolder, findBase } from "#src/store/folders.ts"
import { openSources } from "#src/store/Sources.ts"
import { pathsOf } from "#src/store/Workspace.ts"

const folder = (): string => mkdtempSync(join(tmpdir(), "anneal-folders-"))

test("a copy has the same files and leaves the stored ones as they were", async () => {
  const from = folder()
  mkdirSync(join(from, "deep"))
  writeFileSync(join(from, "deep", "a"), "1")
  writeFileSync(join(from, ".b"), "2")
  const before = statSync(join(from, ".b"), { bigint: true })
  const to = join(folder(), "new")
  await copyFolder(from, to)
  expect([readFileSync(join(to, "deep", "a"), "utf8"), readFileSync(join(to, ".b"), "utf8")]).toEqual(["1", "2"])
  expect(statSync(join(from, ".b"), { bigint: true }).ctimeNs).toBe(before.ctimeNs)
})

test("a base is found where it was, unless it is gone or has changed", async () => {
  const root = folder()
  const workspace = pathsOf(root, join(root, "artifacts"))
  mkdirSync(join(root, "base"))
  writeFileSync(join(root, "base", "config.json"), "{}")
  const { digest } = await openSources(workspace).digest(join(root, "base"))
  const find = () => findBase(workspace, { path: "base", digest })
  expect(await find()).toBe(join(root, "base"))
  writeFileSync(join(root, "base", "config.json"), "[]")
  await expect(find()).rejects.toMatchObject({ _tag: "DataError", message: "the adapter's base model has changed" })
  rmSync(join(root, "base"), { recursive: true })
  await expect(find()).rejects.toMatchObject({ _tag: "DataError", message: "the adapter's base model is gone", where: join(root, "base") })
})
