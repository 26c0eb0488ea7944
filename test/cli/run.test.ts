// anneal run in a temporary workspace: reuse, reasons, choices, output streams, failures. The oracle is what the stages' bodies wrote.
import { chmodSync, existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import type { RunEvent } from "#src/domain/RunEvent.ts"
import { makeWorkspace } from "./cli.ts"

test("the first run executes every stage, the second one none, and both exit with 0", async () => {
  const { anneal, executed } = makeWorkspace()
  const first = await anneal("run", "small", "--name", "first")
  expect(first).toMatchObject({ code: 0 })
  expect(first.stderr).toContain("small → first   2 stages: 2 run")
  expect(first.stderr).toContain("✔ count")
  expect(first.stdout).toContain("double.doubled →")
  const second = await anneal("run", "small", "--name", "second")
  expect(second).toMatchObject({ code: 0 })
  expect(second.stderr).toContain("↺ double     reused doubled")
  expect(second.stderr).toContain("(produced by first)")
  expect(executed()).toEqual(["count", "double"])
})

test("--set reruns that stage and what its result changes, says why, and going back reuses", async () => {
  const { anneal, executed } = makeWorkspace()
  await anneal("run", "small")
  const planned = await anneal("plan", "small", "--set", "count.to=7")
  expect(planned.stdout).toContain("count.to 5 -> 7")
  const changed = await anneal("run", "small", "--set", "count.to=7", "--name", "seven")
  expect(changed.stderr).toContain("● count      started  why: count.to 5 -> 7")
  expect(executed()).toEqual(["count", "double", "count", "double"])
  await anneal("run", "small")
  expect(executed()).toHaveLength(4)
})

test("an execution-only option changes nothing; --force and --from run again, --only runs no more than it names", async () => {
  const { anneal, executed } = makeWorkspace()
  await anneal("run", "small")
  await anneal("run", "small", "--set", "count.ms=0")
  expect(executed()).toHaveLength(2)
  await anneal("run", "small", "--force", "double")
  expect(executed().slice(2)).toEqual(["double"])
  await anneal("run", "small", "--from", "count")
  expect(executed().slice(3)).toEqual(["count", "double"])
  await anneal("run", "small", "--only", "count", "--force", "count")
  expect(executed().slice(5)).toEqual(["count"])
})

test("--dry prints the plan, runs nothing and writes nothing", async () => {
  const { anneal, root } = makeWorkspace()
  const dry = await anneal("run", "small", "--dry")
  expect(dry).toMatchObject({ code: 0 })
  expect(dry.stdout).toContain("never ran")
  expect(existsSync(join(root, "artifacts"))).toBe(false)
  expect(existsSync(join(root, "executed.txt"))).toBe(false)
})

test("--ui json: one event a line on stdout, whose plan is that of `plan --json`", async () => {
  const { anneal } = makeWorkspace()
  const plan = JSON.parse((await anneal("plan", "small", "--json")).stdout) as { stages: unknown }
  const { stdout, code } = await anneal("run", "small", "--ui", "json")
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as RunEvent)
  expect(code).toBe(0)
  expect(events.map((event) => event.seq)).toEqual(events.map((_, seq) => seq))
  expect(events.find((event) => event._tag === "Planned")).toMatchObject({ stages: plan.stages })
  expect(events.at(-1)).toMatchObject({ _tag: "RunEnded", outcome: "done" })
})

test("--ui quiet and ANNEAL_UI=quiet print nothing about a run that is done", async () => {
  const { anneal, annealWith } = makeWorkspace()
  const quiet = await anneal("run", "small", "--ui", "quiet")
  expect([quiet.code, quiet.stdout]).toEqual([0, ""])
  expect((await annealWith({ ANNEAL_UI: "quiet" }, "run", "small")).stdout).toBe("")
  expect(await annealWith({ ANNEAL_UI: "quite" }, "run", "small")).toMatchObject({ code: 2 })
})

test("a live view that cannot be drawn falls back to plain lines and says so", async () => {
  const { anneal } = makeWorkspace()
  const { stderr, code } = await anneal("run", "small", "--ui", "live")
  expect(stderr).toContain("--ui live needs a terminal")
  expect(stderr).toContain("✔ double")
  expect(code).toBe(0)
})

test("output to pipes has no escape codes; FORCE_COLOR adds them; --ascii has no other characters", async () => {
  const { anneal, annealWith } = makeWorkspace()
  const plain = await anneal("run", "small", "--ascii")
  expect(plain.stderr.replace(/^! .*$/m, "")).toMatch(/^[\n -~]*$/)
  expect((await annealWith({ FORCE_COLOR: "1" }, "run", "small")).stderr).toContain("\x1b[36m↺\x1b[0m")
  expect((await annealWith({ FORCE_COLOR: "1", NO_COLOR: "1" }, "run", "small")).stderr).not.toContain("\x1b")
})

test("a stage that throws fails the run with 1: what, where, its log; what needs it is skipped; fixed, the rest goes on", async () => {
  const { anneal, executed } = makeWorkspace()
  const failed = await anneal("run", "small", "--set", "count.fail=true", "--name", "bad")
  expect(failed.code).toBe(1)
  expect(failed.stderr).toContain("✘ count: Error: count went wrong")
  expect(failed.stderr).toContain("double     skipped: needs count, which failed")
  expect(failed.stderr).not.toContain("    at ")
  expect((await anneal("logs", "bad", "count")).stdout).toContain("count went wrong")
  expect(await anneal("run", "small")).toMatchObject({ code: 0 })
  expect(executed()).toEqual(["count", "count", "double"])
})

test("options that another command has, or that say nothing here, are not passed over", async () => {
  const { anneal } = makeWorkspace()
  await anneal("run", "small", "--name", "one")
  for (const [args, message] of [
    [["run", "small", "--dry", "--ui", "json"], /--dry runs nothing[\s\S]*anneal plan small --json/],
    [["run", "small", "--name", "latest"], /"latest" cannot be a run's name/],
    [["why", "one", "count", "--set", "count.to=6"], /--set goes with a pipeline, but one is a run/]
  ] as const) {
    const refused = await anneal(...args)
    expect(refused).toMatchObject({ code: 2, stdout: "" })
    expect(refused.stderr).toMatch(message)
  }
})

test("a name that is taken, and options that mean nothing, are usage errors", async () => {
  const { anneal } = makeWorkspace()
  await anneal("run", "small", "--name", "one")
  const taken = await anneal("run", "small", "--name", "one")
  expect(taken.code).toBe(2)
  expect(taken.stderr).toContain("there is a run called one already")
  for (const args of [
    ["--jobs", "0"],
    ["--threads", "x"],
    ["--restart", "cont"],
    ["--only", "nothing"],
    ["--set", "count"]
  ]) {
    expect(await anneal("run", "small", ...args)).toMatchObject({ code: 2 })
  }
})

// Root writes through any mode bits, so this needs another user or a file system that refuses root too.
test.skipIf(process.getuid?.() === 0)("an artifacts folder that cannot be written ends with 5 and says what to do", async () => {
  const { anneal, root } = makeWorkspace()
  mkdirSync(join(root, "locked"))
  chmodSync(join(root, "locked"), 0o500)
  const refused = await anneal("run", "small", "--artifacts", "locked")
  expect(refused.code).toBe(5)
  expect(refused.stderr).toContain("try: ")
})
