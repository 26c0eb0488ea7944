// The commands that read: their tables, and the shapes of their --json, over a workspace with a few runs.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, expect, test } from "vitest"
import { makeWorkspace, type Workspace } from "./cli.ts"

/** Runs "one" as written and "two" with a change. */
const withRuns = async (): Promise<Workspace> => {
  const workspace = makeWorkspace()
  await workspace.anneal("run", "small", "--name", "one")
  await workspace.anneal("run", "small", "--name", "two", "--set", "count.to=7")
  return workspace
}
const json = async (workspace: Workspace, ...args: readonly string[]): Promise<Record<string, unknown>> => {
  const { code, stdout } = await workspace.anneal(...args, "--json")
  expect(code).toBe(0)
  const value = JSON.parse(stdout) as Record<string, unknown>
  expect(value["version"]).toBe(1)
  return value
}
/** For tests that only read. */
let shared: Workspace
beforeAll(async () => {
  shared = await withRuns()
})
const sha = expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string

test("plan: version, pipeline and stages with id, kind, needs, decision, reason, key; a flowchart; writes nothing", async () => {
  const workspace = makeWorkspace()
  expect(await json(workspace, "plan", "small")).toEqual({
    version: 1,
    pipeline: "small",
    stages: [
      { id: "count", kind: "count", needs: [], decision: "run", reason: { code: "never-ran", text: "never ran" }, key: sha },
      { id: "double", kind: "double", needs: ["count"], decision: "run", reason: { code: "never-ran", text: "never ran" }, key: null }
    ]
  })
  expect((await workspace.anneal("plan", "small", "--mermaid")).stdout).toContain("  count --> double\n")
  expect(existsSync(join(workspace.root, "artifacts"))).toBe(false)
  await workspace.anneal("run", "small")
  const { stages } = (await json(workspace, "plan", "small", "--set", "count.to=6")) as { stages: unknown[] }
  expect(stages).toMatchObject([
    { decision: "run", reason: { code: "config", field: "config.to", from: 5, to: 6, text: "count.to 5 -> 6" } },
    { decision: "maybe", reason: { code: "upstream" }, key: null }
  ])
})

test("plan and run estimate the time from past runs", async () => {
  const workspace = await withRuns()
  const estimate = { seconds: expect.any(Number) as number, runs: 2 }
  const { stages } = (await json(workspace, "plan", "small")) as { stages: object[] }
  expect(stages.some((stage) => "estimate" in stage)).toBe(false)
  expect(await json(workspace, "plan", "small", "--set", "count.to=9")).toMatchObject({
    stages: [
      { id: "count", estimate },
      { id: "double", estimate }
    ],
    estimate: { ...estimate, without: [] }
  })
  const changed = await workspace.anneal("run", "small", "--set", "count.to=9")
  expect(changed.stderr).toMatch(/2 stages: 1 run · 1 maybe {3}~0\.\ds \(from 2 past runs\)\n/)
  expect((await workspace.anneal("run", "small", "--set", "count.to=8", "--dry")).stdout).toMatch(/TIME +WHY\n.* ~0\.\ds +count\.to /)
})

test("why: of a pipeline against its last success or another run, of a run against what it was compared with", async () => {
  const changes = [{ path: "config.to", from: 7, to: 5 }]
  expect(await json(shared, "why", "small", "count", "--against", "two")).toMatchObject({
    pipeline: "small",
    stage: "count",
    decision: "reuse",
    against: "two",
    changes
  })
  expect(await json(shared, "why", "two", "count")).toMatchObject({
    run: "two",
    decision: "done",
    against: "one",
    changes: [{ path: "config.to", from: 5, to: 7 }]
  })
  expect((await shared.anneal("why", "latest", "count")).stdout).toContain("  count.to 5 -> 7\n")
  expect(await json(shared, "why", "latest", "count")).toMatchObject({ run: "two" })
  expect((await shared.anneal("why", "two", "double")).stdout).toContain("input numbers changed")
})

test("status: fresh, stale and broken, with --check as the exit code", async () => {
  const workspace = makeWorkspace()
  await workspace.anneal("run", "small")
  workspace.write("pipelines/broken.ts", "export default 1\n")
  expect(await json(workspace, "status", "small")).toMatchObject({ pipelines: [{ pipeline: "small", state: "fresh", error: null }] })
  expect(await workspace.anneal("status", "small", "--check")).toMatchObject({ code: 0 })
  const all = await workspace.anneal("status", "--check")
  expect(all.code).toBe(3)
  expect(all.stdout).toMatch(/✘ broken +broken/)
  const file = join(workspace.root, "pipelines/small.ts")
  writeFileSync(file, readFileSync(file, "utf8").replace("{ by: 2 }", "{ by: 3 }"))
  const stale = await workspace.anneal("status", "small", "--check")
  expect(stale.code).toBe(3)
  expect(stale.stdout).toContain("1 of 2 stages, first double: double.by 2 -> 3")
  const unknown = await workspace.anneal("status", "smal")
  expect(unknown.code).toBe(2)
  expect(unknown.stderr).toContain("did you mean small?")
})

test("runs: newest first, filters, order, csv, markdown; a value that is not finite is null and named", async () => {
  const { runs } = (await json(shared, "runs")) as { runs: Record<string, unknown>[] }
  expect(runs.map((run) => run["run"])).toEqual(["two", "one"])
  expect(runs[0]).toMatchObject({
    outcome: "done",
    overrides: { "count.to": 7 },
    metrics: { "count.last": 7, "double.odd": null },
    nonFinite: ["double.odd"]
  })
  const names = async (...args: readonly string[]): Promise<unknown> =>
    ((await json(shared, "runs", ...args)) as { runs: Record<string, unknown>[] }).runs.map((run) => run["run"])
  expect(await names("--filter", "count.last>5")).toEqual(["two"])
  expect(await names("--filter", "outcome=done", "--filter", "run!=two")).toEqual(["one"])
  expect(await names("--sort=count.last")).toEqual(["one", "two"])
  expect(await names("--sort=-count.last")).toEqual(["two", "one"])
  expect((await shared.anneal("runs", "--sort", "count.lats")).stderr).toContain("did you mean count.last?")
  const csv = (await shared.anneal("runs", "--csv")).stdout.trim().split("\r\n")
  expect(csv[0]).toBe("run,pipeline,outcome,started,time,set,count.last,double.value,double.odd")
  expect(csv).toHaveLength(3)
  expect(csv[1]).toMatch(/^two,small,done,[^,]+Z,\d+(\.\d+)?,count\.to=7,7,14,NaN$/)
  expect(await names("--filter", "time<600")).toEqual(["two", "one"])
  const columns = async (...args: readonly string[]): Promise<readonly string[]> =>
    ((await shared.anneal("runs", "--md", ...args)).stdout.split("\n")[0] ?? "")
      .split("|")
      .map((name) => name.trim())
      .slice(7, -1)
  expect(await columns()).toEqual(["count.last", "double.value"])
  expect(await columns("--all-columns")).toEqual(["count.last", "double.value", "double.odd"])
  expect(await columns("--filter", "run=two")).toEqual(["count.last", "double.value", "double.odd"])
})

test("show: the contract with outcome, key, output digests and metrics; latest is the newest run", async () => {
  const workspace = await withRuns()
  await workspace.anneal("run", "small", "--name", "three")
  const shown = await json(workspace, "show", "latest")
  expect(shown).toMatchObject({ run: "three", pipeline: "small", objective: "counts", outcome: "done" })
  expect(shown["stages"]).toMatchObject([
    { id: "count", kind: "count", outcome: "reused", producedBy: "one", key: sha, outputs: [{ name: "numbers", digest: sha }] },
    { id: "double", kind: "double", outcome: "reused", metrics: { value: 10, odd: null }, nonFinite: ["odd"] }
  ])
  const text = (await workspace.anneal("show", "two")).stdout
  expect(text).toContain("set count.to = 7")
  expect(text).not.toMatch(/[0-9a-f]{64}/)
  expect((await workspace.anneal("show", "two", "--wide")).stdout).toMatch(/[0-9a-f]{64}/)
  expect((await workspace.anneal("show", "tow")).stderr).toContain("did you mean two?")
})

test("compare: figures, changed fields, the first stage that differs", async () => {
  expect(await json(shared, "compare", "one", "two")).toEqual({
    version: 1,
    runs: ["one", "two"],
    metrics: {
      "count.last": { one: 5, two: 7 },
      "double.value": { one: 10, two: 14 },
      "double.odd": { one: null, two: null }
    },
    config: { "count.to": { one: 5, two: 7 } },
    firstDifference: "count"
  })
  const text = (await shared.anneal("compare", "one", "two")).stdout
  expect(text).toMatch(/double\.value +10 +14 +\+4/)
  expect(text).toContain("first stage that differs: count")
  expect((await shared.anneal("compare", "one", "one")).stdout).toContain("all stages have the same keys")
})

test("logs: the same lines as the run printed; one stage; followed to the end; since a time", async () => {
  const workspace = makeWorkspace()
  const { stderr } = await workspace.anneal("run", "small", "--name", "one")
  const printed = stderr.split("\n").filter((line) => !line.startsWith("! package"))
  expect((await workspace.anneal("logs", "one")).stdout.split("\n")).toEqual(printed)
  expect((await workspace.anneal("logs", "one", "-f")).stdout.split("\n")).toEqual(printed)
  expect((await workspace.anneal("logs", "one", "--since", "1d")).stdout.split("\n")).toEqual(printed)
  expect((await workspace.anneal("logs", "one", "--since", "2100-01-01T00:00Z")).stdout).toBe("")
  expect(await workspace.anneal("logs", "one", "--since", "soon")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("10m") as string
  })
  const one = (await workspace.anneal("logs", "one", "count")).stdout
  expect(one).toContain("✔ count")
  expect(one).not.toContain("double")
  expect((await workspace.anneal("logs", "one", "doubel")).stderr).toContain("did you mean double?")
})

test("doctor: every check passes here; a lost catalog is made again and finds the results", async () => {
  const workspace = await withRuns()
  const found = (await json(workspace, "doctor", "small")) as { ok: boolean; checks: { name: string; ok: boolean }[] }
  expect(found.ok).toBe(true)
  expect(found.checks.map((check) => check.name)).toEqual([
    "node",
    "onnxruntime",
    "duckdb",
    "artifacts",
    "disk",
    "catalog",
    "pipeline small"
  ])
  rmSync(join(workspace.root, "artifacts/catalog.duckdb"))
  const rebuilt = await workspace.anneal("doctor", "--rebuild")
  expect(rebuilt.stderr).toContain("rebuilt the catalog: 2 runs, 4 results")
  await workspace.anneal("run", "small")
  expect(workspace.executed()).toHaveLength(4)
})

test("doctor: says of each device whether it trains as the CPU does, or what is missing", async () => {
  const { devices } = (await json(makeWorkspace(), "doctor")) as {
    devices: { device: string; usable: boolean; detail: string; missing: string[]; fix: string | null }[]
  }
  expect(devices.map(({ device }) => device)).toEqual(["cpu", "webgpu", "cuda"])
  expect(devices[0]).toMatchObject({ usable: true, detail: "trains", missing: [], fix: null })
  for (const { usable, detail, missing, fix } of devices.slice(1)) {
    if (usable) expect(detail).toMatch(/^trains/)
    else expect([detail, fix]).toEqual([expect.stringContaining(missing[0] ?? ""), expect.any(String)])
  }
})

test("doctor: a problem has a fix, and the exit code is 5", async () => {
  const workspace = makeWorkspace()
  writeFileSync(join(workspace.root, "artifacts"), "a file where a folder should be")
  const { code, stdout } = await workspace.anneal("doctor")
  expect(code).toBe(5)
  expect(stdout).toMatch(/✘ artifacts/)
  expect(stdout).toContain("try: ")
})

test("init writes a project whose pipeline can be planned, and overwrites nothing", async () => {
  const workspace = makeWorkspace()
  const made = await workspace.anneal("init", "project")
  expect(made.code).toBe(0)
  const manifest = JSON.parse(readFileSync(join(workspace.root, "project/package.json"), "utf8")) as Record<string, unknown>
  expect(manifest).toMatchObject({ name: "project", type: "module", dependencies: { anneal: expect.stringMatching(/^\d/) as string } })
  const again = await workspace.anneal("init", "project")
  expect(again.code).toBe(2)
  expect(again.stderr).toContain("overwrites nothing")
})
