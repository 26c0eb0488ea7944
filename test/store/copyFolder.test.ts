// A copy of a stored folder, which itself stays as its record says.
import { mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { copyFolder } from "#src/store/copyFolder.ts"

const folder = (): string => mkdtempSync(join(tmpdir(), "anneal-copy-"))

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
