// The object store never serves bytes that are not those of the digest.
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { checkObject, digestOutput, objectPath, publishObject } from "#src/store/Objects.ts"
import { pathsOf } from "#src/store/Workspace.ts"
import { temporaryStore } from "./support.ts"

const fileIn = (folder: string, text = "some bytes"): string => {
  const path = join(folder, "file.txt")
  mkdirSync(folder, { recursive: true })
  writeFileSync(path, text)
  return path
}
const folderIn = (folder: string, files: Readonly<Record<string, string>>): string => {
  const path = join(folder, "model")
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(path, name, ".."), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  return path
}

describe("publish", () => {
  test("moves a file under the sha256 of its bytes", async () => {
    const store = temporaryStore()
    const from = fileIn(store.root)
    const { digest, bytes } = await publishObject(store, from, "here")
    expect(digest).toBe("sha256:0d22cdcc10e6d049dbe1af5123d50873fdfc1a4f58306e58cb6241be9472014d")
    expect(bytes).toBe(10)
    expect(existsSync(from)).toBe(false)
    expect(readFileSync(objectPath(store, digest), "utf8")).toBe("some bytes")
    expect(await checkObject(store, digest, false)).toBe("intact")
  })
  test("the same bytes twice are one object; a damaged one is replaced", async () => {
    const store = temporaryStore()
    const { digest } = await publishObject(store, fileIn(store.root), "here")
    writeFileSync(objectPath(store, digest), "other byte")
    expect(await checkObject(store, digest, false)).toBe("corrupt")
    expect((await publishObject(store, fileIn(store.root), "here")).digest).toBe(digest)
    expect(await checkObject(store, digest, false)).toBe("intact")
  })
  test("a folder's digest is that of its files' names, sizes and bytes", async () => {
    const store = temporaryStore()
    const digestOf = async (files: Readonly<Record<string, string>>) => {
      const path = folderIn(store.root, files)
      const { digest } = await digestOutput(path, false)
      rmSync(path, { recursive: true })
      return digest
    }
    const one = await digestOf({ "config.json": "{}", "a/b.bin": "x" })
    expect(await digestOf({ "a/b.bin": "x", "config.json": "{}" })).toBe(one)
    const others = [
      { "config.json": "{}", "a/b.bin": "y" },
      { "config.json": "{}", "a/c.bin": "x" },
      { "config.json": "{}" },
      { "config.json": "{}", "a/b.bin": "x", e: "" }
    ]
    const digests = [one]
    for (const files of others) digests.push(await digestOf(files))
    expect(new Set(digests).size).toBe(5)
    expect(await digestOf({ "\u00e9": "x" })).toBe(await digestOf({ "e\u0301": "x" }))
  })
  test("links are refused", async () => {
    const store = temporaryStore()
    const path = folderIn(store.root, { "config.json": "{}" })
    symlinkSync("/etc/hostname", join(path, "link"))
    await expect(publishObject(store, path, "stage train, output model")).rejects.toMatchObject({
      _tag: "StageError",
      where: "stage train, output model"
    })
  })
})

describe("check", () => {
  const published = async () => {
    const store = temporaryStore()
    const { digest } = await publishObject(store, folderIn(store.root, { "config.json": "{}", "model.safetensors": "weights" }), "here")
    return { store, digest, path: objectPath(store, digest) }
  }
  test("a byte flipped under a kept size and time is found", async () => {
    const { store, digest, path } = await published()
    const file = join(path, "model.safetensors")
    const time = new Date(1_700_000_000_000)
    utimesSync(file, time, time)
    writeFileSync(file, "weighty")
    utimesSync(file, time, time)
    expect(await checkObject(store, digest, true)).toBe("corrupt")
  })
  test("a file lost, a file added, everything lost", async () => {
    const { store, digest, path } = await published()
    writeFileSync(join(path, "extra"), "")
    expect(await checkObject(store, digest, false)).toBe("corrupt")
    rmSync(join(path, "extra"))
    expect(await checkObject(store, digest, false)).toBe("intact")
    rmSync(join(path, "config.json"))
    expect(await checkObject(store, digest, false)).toBe("corrupt")
    rmSync(path, { recursive: true })
    expect(await checkObject(store, digest, false)).toBe("missing")
  })
  test("equal bytes with another time are intact, also in a copied store; only `remember` writes", async () => {
    const { store, digest } = await published()
    const copy = pathsOf(store.root, join(store.root, "copy"))
    cpSync(store.artifacts, copy.artifacts, { recursive: true })
    const record = (): string => readFileSync(`${objectPath(copy, digest)}.json`, "utf8")
    const before = record()
    expect(await checkObject(copy, digest, false)).toBe("intact")
    expect(record()).toBe(before)
    expect(await checkObject(copy, digest, true)).toBe("intact")
    expect(record()).not.toBe(before)
  })
  test("a lost record is made again from the bytes", async () => {
    const { store, digest, path } = await published()
    renameSync(`${path}.json`, `${path}.away`)
    expect(await checkObject(store, digest, true)).toBe("intact")
    expect(existsSync(`${path}.json`)).toBe(true)
  })
})
