// Ctrl-C once: the running stage ends its step, the command that goes on is printed. Twice: all ends at once.
import { expect, test } from "vitest"
import { makeWorkspace } from "./cli.ts"

const slow = ["run", "small", "--set", "count.ms=20", "--set", "count.to=100000", "--name", "slow", "--ui", "plain"]

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143]
] as const)("%s stops gracefully with %i and prints the command without the run's name", async (signal, code) => {
  const { start, anneal } = makeWorkspace()
  const run = start(...slow)
  await run.saw("step 1")
  run.process.kill(signal)
  const { code: actual, stderr } = await run.result
  expect(actual).toBe(code)
  expect(stderr).toContain("stopping after this step")
  expect(stderr).toMatch(/‖ count +stopped at step \d+\/100000/)
  expect(stderr).toContain("go on with: anneal run small --set count.ms=20 --set count.to=100000 --ui plain")
  const shown = JSON.parse((await anneal("show", "slow", "--json")).stdout) as { outcome: string; stages: { outcome: string }[] }
  expect(shown.outcome).toBe("stopped")
  expect(shown.stages.map((stage) => stage.outcome)).toEqual(["stopped", "skipped"])
})

test("a second Ctrl-C ends a stage that does not listen, and the next run works", async () => {
  const { start, anneal, write } = makeWorkspace()
  write(
    "pipelines/deaf.ts",
    `import { defineStage, pipeline, Schema } from "anneal"
     const deaf = defineStage({ kind: "deaf", version: 1, config: Schema.Struct({}), inputs: {}, outputs: { out: "text" },
       run: async (context) => { context.emit({ _tag: "Log", level: "info", text: "deaf begins" }); await new Promise((done) => setTimeout(done, 600_000)); return {} } })
     export default pipeline("deaf", () => { deaf({}) })`
  )
  const run = start("run", "deaf", "--name", "deaf")
  await run.saw("deaf begins")
  run.process.kill("SIGINT")
  await run.saw("once more stops at once")
  run.process.kill("SIGINT")
  expect(await run.result).toMatchObject({ code: 130 })
  expect(await anneal("run", "small")).toMatchObject({ code: 0 })
})

test("a run whose process was killed shows as crashed, and the same command works again", async () => {
  const { start, anneal } = makeWorkspace()
  const run = start(...slow)
  await run.saw("step 1")
  run.process.kill("SIGKILL")
  await run.result
  expect(JSON.parse((await anneal("show", "slow", "--json")).stdout)).toMatchObject({ outcome: "crashed" })
  expect((await anneal("runs")).stdout).toMatch(/slow +small +crashed/)
  expect(await anneal("run", "small")).toMatchObject({ code: 0 })
})

test("a second process waits for a stage that the first one computes, and takes its result", async () => {
  const { start, executed } = makeWorkspace()
  const same = ["run", "small", "--set", "count.to=60", "--set", "count.ms=20", "--ui", "plain"]
  const first = start(...same)
  await first.saw("step 1")
  const second = start(...same)
  await second.saw("waits: ")
  expect((await first.result).code).toBe(0)
  expect((await second.result).code).toBe(0)
  expect(executed().filter((stage) => stage === "count")).toHaveLength(1)
})
