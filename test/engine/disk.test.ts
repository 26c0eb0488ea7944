// No space and no right to write: one clear error, exit 5, no half entry, and the next run goes on. Needs a small tmpfs (root).
import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { pipeline } from "#src/engine/define.ts"
import { type Bench, type Body, concatenate, counting, decisions } from "./stages.ts"
import { bench } from "./support.ts"

const mount = (folder: string, ...options: readonly string[]): boolean =>
  spawnSync("mount", ["-t", "tmpfs", ...options, "tmpfs", folder]).status === 0
const permitted = ((): boolean => {
  const folder = "/tmp/anneal-tmpfs-probe"
  mkdirSync(folder, { recursive: true })
  const works = process.platform === "linux" && mount(folder, "-o", "size=64k")
  if (works) spawnSync("umount", [folder])
  else console.log("- skipped: tests of a full and of a read-only disk need the right to mount a tmpfs")
  return works
})()

/** A bench whose artifacts/ is a file system of 8 MB. */
const smallBench = (): Bench & { readonly artifacts: string; readonly remount: (options: string) => void } => {
  const b = bench()
  const artifacts = join(b.root, "artifacts")
  mkdirSync(artifacts)
  expect(mount(artifacts, "-o", "size=8m")).toBe(true)
  onTestFinished(() => void spawnSync("umount", ["-l", artifacts]))
  return { ...b, artifacts, remount: (options) => expect(spawnSync("mount", ["-o", `remount,${options}`, artifacts]).status).toBe(0) }
}
const twoStages = (b: Bench, second: Body) =>
  pipeline("p", () => {
    const one = b.add(counting("one", {}), {}, { text: "1" })
    b.add(counting("two", { a: "text" }, second), { a: one })
  })

test.skipIf(!permitted)("a stage fills the disk: the run fails, what was done before stays", async () => {
  const b = smallBench()
  const big: Body = async (context) => writeFileSync(context.output("out"), Buffer.alloc(16 << 20))
  const full = await b.run(twoStages(b, big))
  expect(full).toMatchObject({ outcome: "failed", exitCode: 5, error: { _tag: "EnvironmentError", message: "no space left on the disk" } })
  expect(full.stages.map((end) => end.outcome)).toEqual(["done", "failed"])
  b.ran()
  b.remount("size=64m")
  expect((await b.run(twoStages(b, big))).outcome).toBe("done")
  expect(b.ran()).toEqual(["two"])
})

test.skipIf(!permitted)("the disk is full when a result is to be entered: no half entry", async () => {
  const b = smallBench()
  const filler = join(b.artifacts, "filler")
  const greedy: Body = async (context) => {
    await concatenate(context)
    try {
      writeFileSync(filler, Buffer.alloc(16 << 20))
    } catch {
      // As much as there was room for.
    }
  }
  const full = await b.run(twoStages(b, greedy))
  expect(full).toMatchObject({ outcome: "failed", exitCode: 5, error: { _tag: "EnvironmentError" } })
  rmSync(filler)
  const entries = await b.catalog((catalog) => catalog.entries())
  expect(entries.map((entry) => entry.stage)).toEqual(["one"])
  b.ran()
  expect((await b.run(twoStages(b, concatenate))).outcome).toBe("done")
  expect(b.ran()).toEqual(["two"])
})

test.skipIf(!permitted)("a read-only store can be asked, but not run into", async () => {
  const b = smallBench()
  await b.run(twoStages(b, concatenate))
  b.ran()
  b.remount("ro")
  expect(decisions(await b.prepare(twoStages(b, concatenate)))).toEqual({ one: "reuse", two: "reuse" })
  await expect(b.run(twoStages(b, concatenate))).rejects.toMatchObject({
    _tag: "EnvironmentError",
    exitCode: 5,
    message: "the folder is on a read-only file system"
  })
  b.remount("rw")
  expect((await b.run(twoStages(b, concatenate))).outcome).toBe("done")
  expect(b.ran()).toEqual([])
})
