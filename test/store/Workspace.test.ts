// Where things lie, from anywhere inside a project.
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { afterEach, expect, test, vi } from "vitest"
import { findWorkspace } from "#src/store/Workspace.ts"
import { temporaryStore } from "./support.ts"

afterEach(() => vi.unstubAllEnvs())

const project = (): string => {
  const { root } = temporaryStore()
  mkdirSync(join(root, "pipelines"))
  mkdirSync(join(root, "data/raw"), { recursive: true })
  return root
}

test("the nearest folder upwards with pipelines/ in it", () => {
  const root = project()
  for (const cwd of [root, join(root, "data/raw"), join(root, "pipelines")]) {
    expect(findWorkspace({ cwd })).toMatchObject({
      root,
      artifacts: join(root, "artifacts"),
      catalog: join(root, "artifacts/catalog.duckdb")
    })
  }
  expect(findWorkspace({ cwd: join(root, "data") }).resolve("data/x.csv")).toBe(join(root, "data/x.csv"))
})

test("the store elsewhere: the option wins over ANNEAL_ARTIFACTS", () => {
  const root = project()
  vi.stubEnv("ANNEAL_ARTIFACTS", "/big/disk")
  expect(findWorkspace({ cwd: root }).objects).toBe("/big/disk/objects")
  expect(findWorkspace({ cwd: join(root, "data"), artifacts: "store" }).runs).toBe(join(root, "data/store/runs"))
})

test("no project", () => {
  expect(() => findWorkspace({ cwd: temporaryStore().root })).toThrow(
    expect.objectContaining({ _tag: "UsageError", hint: expect.stringContaining("anneal init") })
  )
})
