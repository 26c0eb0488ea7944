// Which file a pipeline's name means. Broken files are tested through the command line (broken.test.ts): there Node loads them.
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { findPipeline, loadPipeline, pipelineNames } from "#src/cli/load.ts"
import { UsageError } from "#src/domain/Errors.ts"

let root: string
let folder: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "anneal-load-"))
  folder = join(root, "pipelines")
  mkdirSync(folder)
  writeFileSync(join(folder, "good.mjs"), 'export default { _tag: "Pipeline", id: "good", sources: [], stages: [] }\n')
  for (const name of ["other.ts", "types.d.ts", "note.txt"]) writeFileSync(join(folder, name), "")
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

test("names are those of the files that can be pipelines", () => {
  expect(pipelineNames(folder)).toEqual(["good", "other"])
  expect(pipelineNames(join(root, "none"))).toEqual([])
})

test("a name finds the file in the folder, a path finds the file there", async () => {
  expect(findPipeline(folder, "good")).toBe(join(folder, "good.mjs"))
  expect((await loadPipeline(folder, join(folder, "good.mjs"))).definition.id).toBe("good")
})

test("what a pipeline file prints does not mix with a command's answer", async () => {
  const written = { out: "", err: "" }
  writeFileSync(
    join(folder, "loud.mjs"),
    'console.log("hello"); console.info("there")\nexport default { _tag: "Pipeline", id: "loud", sources: [], stages: [] }\n'
  )
  const { log, error } = console
  console.log = (text: string) => void (written.out += text)
  console.error = (text: string) => void (written.err += text)
  try {
    await loadPipeline(folder, "loud")
    console.log("after")
  } finally {
    Object.assign(console, { log, error })
  }
  expect(written).toEqual({ out: "after", err: "hellothere" })
})

test("an unknown name suggests the nearest one", () => {
  expect(() => findPipeline(folder, "gud")).toThrow(UsageError)
  expect(() => findPipeline(folder, "gud")).toThrow(/no pipeline "gud"/)
  try {
    findPipeline(folder, "godo")
  } catch (error) {
    expect((error as UsageError).hint).toContain("did you mean good?")
  }
})
