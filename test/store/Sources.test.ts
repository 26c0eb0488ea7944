// Source digests follow the bytes, whatever the times say.
import { mkdirSync, renameSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { openSources } from "#src/store/Sources.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { temporaryStore } from "./support.ts"

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 150))

/** What a fresh process would see; it also notes it down. */
const digest = async (store: WorkspacePaths, path: string): Promise<string> => {
  const sources = openSources(store)
  const found = await sources.digest(path)
  sources.save()
  return found.digest
}

test("mtime touched with equal bytes: same; bytes changed under a kept size and mtime: caught", async () => {
  const store = temporaryStore()
  const file = join(store.root, "rows.jsonl")
  const time = new Date(1_700_000_000_000)
  writeFileSync(file, "one")
  utimesSync(file, time, time)
  await settle()
  const first = await digest(store, file)
  expect(await digest(store, file)).toBe(first)
  utimesSync(file, new Date(), new Date())
  expect(await digest(store, file)).toBe(first)
  await settle()
  utimesSync(file, time, time)
  expect(await digest(store, file)).toBe(first)
  writeFileSync(file, "two")
  utimesSync(file, time, time)
  expect(await digest(store, file)).not.toBe(first)
})

test("a file that took the place of another, with its size and mtime", async () => {
  const store = temporaryStore()
  const [file, other] = [join(store.root, "rows.jsonl"), join(store.root, "other.jsonl")]
  const time = new Date(1_700_000_000_000)
  for (const [path, text] of [
    [file, "one"],
    [other, "two"]
  ] as const) {
    writeFileSync(path, text)
    utimesSync(path, time, time)
  }
  await settle()
  const first = await digest(store, file)
  renameSync(other, file)
  expect(await digest(store, file)).not.toBe(first)
})

test("a file changed right after it was digested is read again: its stat may look the same", async () => {
  const store = temporaryStore()
  const file = join(store.root, "rows.jsonl")
  writeFileSync(file, "one")
  const first = await digest(store, file)
  writeFileSync(file, "two")
  expect(await digest(store, file)).not.toBe(first)
})

test("a base folder: links are followed, hidden files do not count, every other file does", async () => {
  const store = temporaryStore()
  const base = join(store.root, "base")
  mkdirSync(join(base, ".git"), { recursive: true })
  writeFileSync(join(store.root, "blob"), "weights")
  writeFileSync(join(base, "config.json"), "{}")
  symlinkSync(join(store.root, "blob"), join(base, "model.safetensors"))
  const first = await digest(store, base)
  writeFileSync(join(base, ".git/HEAD"), "x")
  expect(await digest(store, base)).toBe(first)
  writeFileSync(join(store.root, "blob"), "other weights")
  const second = await digest(store, base)
  expect(second).not.toBe(first)
  writeFileSync(join(base, "tokenizer.json"), "{}")
  expect(await digest(store, base)).not.toBe(second)
})
