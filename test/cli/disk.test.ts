// A full disk and a read-only mount under artifacts/: exit code 5, nothing lost, the next run goes on. Needs the right to mount.
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import type { Workspace } from "./cli.ts"
import { makeRoad } from "./real.ts"

const mounted: string[] = []
const mount = (folder: string, options: string): boolean => {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder], { stdio: "ignore" })
    mounted.push(folder)
    return true
  } catch {
    return false
  }
}
const unmount = (folder: string): void => {
  execFileSync("umount", ["-l", folder], { stdio: "ignore" })
  mounted.splice(mounted.indexOf(folder), 1)
}
afterAll(() => [...mounted].forEach(unmount))

const canMount = ((): boolean => {
  const probe = mkdtempSync(join(tmpdir(), "anneal-mount-"))
  const works = mount(probe, "size=4k")
  if (works) unmount(probe)
  rmdirSync(probe)
  return works
})()

const onMount = async (
  options: string,
  work: (workspace: Workspace, remount: (options: string) => void) => Promise<void>
): Promise<void> => {
  const workspace = await makeRoad()
  const store = join(workspace.root, "artifacts")
  mkdirSync(store)
  expect(mount(store, options)).toBe(true)
  try {
    await work(workspace, (changed) => execFileSync("mount", ["-o", `remount,${changed}`, store]))
  } finally {
    unmount(store)
  }
}

test.skipIf(!canMount)("no space left: one error with 5; with more space the same command goes on", () =>
  onMount("size=120k", async ({ anneal }, remount) => {
    const full = await anneal("run", "road", "format")
    expect(full.code).toBe(5)
    expect(full.stderr).toMatch(/no space left|disk/i)
    expect(full.stderr).toContain("try: ")
    remount("size=64m")
    expect(await anneal("run", "road", "format")).toMatchObject({ code: 0 })
    expect((await anneal("run", "road", "format")).stderr).toContain("5 reuse")
  })
)

test.skipIf(!canMount)("a read-only mount: one error with 5 that names another folder as a way out; plan works", () =>
  onMount("size=16m", async ({ anneal }, remount) => {
    expect(await anneal("run", "road", "ingest")).toMatchObject({ code: 0 })
    remount("ro")
    const refused = await anneal("run", "road", "format")
    expect(refused.code).toBe(5)
    expect(refused.stderr).toContain("read-only")
    expect(refused.stderr).toContain("--artifacts")
    expect(await anneal("plan", "road")).toMatchObject({ code: 0 })
    expect(await anneal("doctor")).toMatchObject({ code: 5 })
  })
)
