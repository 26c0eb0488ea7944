// The catalog is an index: it can be lost, broken or made again, and is written by many at once.
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { expect, test } from "vitest"
import { type CatalogService, makeCatalog } from "#src/store/Catalog.ts"
import { createJournal } from "#src/store/Journal.ts"
import { publishObject } from "#src/store/Objects.ts"
import { processId } from "#src/store/processes.ts"
import type { Entry } from "#src/store/records.ts"
import { journalPath, type WorkspacePaths } from "#src/store/Workspace.ts"
import { temporaryStore } from "./support.ts"

const go = <A>(effect: Effect.Effect<A, unknown>): Promise<A> => Effect.runPromise(effect)

/** A run of one stage that registered a model, told as the executor tells it: catalog, then journal. */
const finishedRun = async (store: WorkspacePaths, catalog: CatalogService, run: string, version: number): Promise<Entry> => {
  const file = join(store.root, "out")
  writeFileSync(file, `model ${version}`)
  const { digest, bytes } = await publishObject(store, file, "test")
  const output = { name: "model", kind: "model", digest, bytes, rows: 3 }
  const entry: Entry = {
    key: `sha256:${version}`,
    kind: "train",
    pipeline: "p",
    stage: "train",
    run,
    time: `2026-01-01T00:00:0${version}.000Z`,
    manifest: [
      { path: "config.a", type: "int", value: version },
      { path: "input.tokens", type: "digest", value: "sha256:1" }
    ],
    outputs: [output],
    metrics: { loss: 1.25, bad: null },
    summary: "one epoch",
    computeMs: 12.5,
    writeMs: 1
  }
  const { key, kind, stage, time, manifest, metrics, computeMs, writeMs } = entry
  const model = { name: "support", version, digest, key, run, time }
  await go(catalog.publish({ entry, models: [model], aliases: [{ name: "support", alias: "latest", version, time }] }))
  const journal = createJournal(journalPath(store, run), run)
  journal.append({
    _tag: "RunStarted",
    pipeline: "p",
    git: null,
    ...processId(process.pid),
    config: { train: { a: version } },
    overrides: {},
    sources: {}
  })
  journal.append({ _tag: "StageStarted", stage, kind, attempt: "x", key, manifest, reason: { code: "never-ran", text: "never ran" } })
  journal.append({ _tag: "Registered", stage, name: "support", version, digest, key })
  journal.append({ _tag: "AliasMoved", name: "support", alias: "latest", version })
  journal.append({
    _tag: "StageEnded",
    stage,
    kind,
    outcome: "done",
    key,
    outputs: [output],
    metrics,
    summary: "one epoch",
    computeMs,
    writeMs,
    error: null
  })
  journal.append({ _tag: "RunEnded", outcome: "done", savedMs: 0 })
  journal.close()
  await go(catalog.indexRuns())
  return entry
}
/** Everything that the catalog tells, without the times at which journals were written. */
const told = async (catalog: CatalogService) => {
  const strip = <R extends { readonly time: string }>(rows: readonly R[]) => rows.map((row) => ({ ...row, time: "" }))
  const { models, aliases } = await go(catalog.models())
  return { runs: await go(catalog.runs()), entries: strip(await go(catalog.entries())), models: strip(models), aliases: strip(aliases) }
}

test("an empty workspace has nothing, and asking writes nothing", async () => {
  const store = temporaryStore()
  const catalog = makeCatalog(store)
  expect(await told(catalog)).toEqual({ runs: [], entries: [], models: [], aliases: [] })
  expect(await go(catalog.read((snapshot) => snapshot.entry("sha256:1")))).toBeUndefined()
  expect(() => rmSync(store.artifacts, { recursive: true })).toThrow(/ENOENT/)
})

test("what is put in comes out: by key, by own part, by last success, by kind", async () => {
  const store = temporaryStore()
  const catalog = makeCatalog(store)
  const first = await finishedRun(store, catalog, "calm-ibis", 1)
  const second = await finishedRun(store, catalog, "bold-lynx", 2)
  const { ownPart } = await import("#src/store/records.ts")
  const other = first.manifest.map((field) => (field.path === "input.tokens" ? { ...field, value: "sha256:2" } : field))
  const seen = await go(
    catalog.read(async (snapshot) => ({
      entry: await snapshot.entry("sha256:1"),
      none: await snapshot.entry("sha256:9"),
      knows: await snapshot.knows(ownPart(other)),
      knowsNot: await snapshot.knows(ownPart(other.slice(1))),
      last: await snapshot.last("p", "train"),
      kind: (await snapshot.ofKind("train")).map((entry) => entry.key)
    }))
  )
  expect(seen).toEqual({ entry: first, none: undefined, knows: true, knowsNot: false, last: second, kind: [second.key, first.key] })
  const runs = await go(catalog.runs())
  expect(runs.map((run) => [run.run, run.outcome, run.stages[0]?.metrics, run.stages[0]?.reason?.code])).toEqual([
    ["bold-lynx", "done", { loss: 1.25, bad: null }, "never-ran"],
    ["calm-ibis", "done", { loss: 1.25, bad: null }, "never-ran"]
  ])
})

test("lost, begun but not filled, or broken: the journals and objects tell the same again", async () => {
  const store = temporaryStore()
  const catalog = makeCatalog(store)
  await finishedRun(store, catalog, "calm-ibis", 1)
  await finishedRun(store, catalog, "bold-lynx", 2)
  await go(catalog.moveAlias("support", "stable", 1))
  const before = await told(catalog)
  expect(before.aliases).toEqual([
    { name: "support", alias: "latest", version: 2, time: "" },
    { name: "support", alias: "stable", version: 1, time: "" }
  ])
  rmSync(store.catalog)
  expect(await told(catalog)).toEqual(before)
  expect(await go(catalog.rebuild())).toEqual({ runs: 2, entries: 2, models: 2 })
  expect(await told(catalog)).toEqual(before)
  expect(await go(catalog.rebuild())).toEqual({ runs: 2, entries: 2, models: 2 })
  writeFileSync(store.catalog, Buffer.alloc(4096, 7))
  await expect(told(catalog)).rejects.toMatchObject({ _tag: "EnvironmentError", hint: expect.stringContaining("doctor --rebuild") })
  await go(catalog.rebuild())
  expect(await told(catalog)).toEqual(before)
})

test("an alias moves only to a version that is there", async () => {
  const store = temporaryStore()
  const catalog = makeCatalog(store)
  await finishedRun(store, catalog, "calm-ibis", 1)
  await expect(go(catalog.moveAlias("support", "latest", 3))).rejects.toMatchObject({
    message: "support has no version 3",
    hint: "its versions are 1"
  })
  await expect(go(catalog.moveAlias("other", "latest", 1))).rejects.toMatchObject({ _tag: "UsageError" })
})

test("a crashed run and a run that goes on are told from finished ones", async () => {
  const store = temporaryStore()
  const catalog = makeCatalog(store)
  await finishedRun(store, catalog, "calm-ibis", 1)
  const begin = (run: string, pidStart: string | null) =>
    createJournal(journalPath(store, run), run).append({
      _tag: "RunStarted",
      pipeline: "p",
      git: null,
      pid: process.pid,
      pidStart,
      config: {},
      overrides: {},
      sources: {}
    })
  begin("dead", "1")
  begin("live", processId(process.pid).pidStart)
  const outcomes = async () => Object.fromEntries((await go(catalog.runs())).map((run) => [run.run, run.outcome]))
  const expected = { "calm-ibis": "done", dead: "crashed", live: "running" }
  expect(await outcomes()).toEqual(expected)
  await go(catalog.indexRuns())
  expect(await outcomes()).toEqual(expected)
})

test("many writers at once in one process, on a catalog that is not there yet", async () => {
  const store = temporaryStore()
  const catalog = makeCatalog(store)
  const first = await finishedRun(store, catalog, "calm-ibis", 1)
  rmSync(store.catalog)
  const keys = Array.from({ length: 8 }, (_, i) => `sha256:k${i}`)
  await Promise.all(keys.map((key) => go(catalog.publish({ entry: { ...first, key }, models: [], aliases: [] }))))
  expect((await go(catalog.entries())).map((entry) => entry.key).sort()).toEqual([first.key, ...keys].sort())
})
