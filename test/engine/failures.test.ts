// Failed stages: what goes on, what is skipped, what the user is told, and that nothing half done is kept.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { DataError, GateError } from "#src/domain/Errors.ts"
import { pipeline } from "#src/engine/define.ts"
import { type Bench, type Body, concatenate, counting, decisions, diamond } from "./stages.ts"
import { bench } from "./support.ts"

const ran = (b: Bench): readonly string[] => [...b.ran()].sort()

describe("failures", () => {
  const failing = (b: Bench, body: Body) =>
    pipeline("p", () => {
      const bad = b.add(counting("bad", {}, body), {})
      b.add(counting("below", { a: "text" }), { a: bad })
      const good = b.add(counting("good", {}), {}, { text: "g" })
      b.add(counting("after", { a: "text" }), { a: good })
    })
  const outcomes = (run: Awaited<ReturnType<Bench["run"]>>) => Object.fromEntries(run.stages.map((end) => [end.stage, end.outcome]))
  const broken: Body = async () => {
    throw new TypeError("no such thing")
  }

  test("running stages end, no new one starts; dependents are named; the next run goes on", async () => {
    const b = bench()
    const run = await b.run(failing(b, broken), { jobs: 1 })
    expect([run.outcome, run.exitCode]).toEqual(["failed", 1])
    expect(outcomes(run)).toEqual({ bad: "failed", below: "skipped", good: "skipped", after: "skipped" })
    expect(b.events.find((event) => event._tag === "StageEnded" && event.stage === "below")).toMatchObject({
      summary: "needs bad, which failed"
    })
    expect(ran(b)).toEqual(["bad"])
    const fixed = await b.run(failing(b, concatenate))
    expect([fixed.outcome, ran(b)]).toEqual(["done", ["after", "bad", "below", "good"]])
  })
  test("--keep-going: independent arms go on; what is done is reused, what failed runs again", async () => {
    const b = bench()
    expect(outcomes(await b.run(failing(b, broken), { keepGoing: true }))).toEqual({
      bad: "failed",
      below: "skipped",
      good: "done",
      after: "done"
    })
    ran(b)
    const again = await b.run(failing(b, broken), { keepGoing: true })
    expect(decisions(again)).toEqual({ bad: "run", below: "run", good: "reuse", after: "reuse" })
    expect(ran(b)).toEqual(["bad"])
  })
  test("what a stage throws becomes one line; its stack is in the log file only", async () => {
    const b = bench()
    const { error, run } = await b.run(failing(b, broken))
    expect(error).toMatchObject({ _tag: "StageError", message: "TypeError: no such thing", where: "stage bad" })
    expect(JSON.stringify(b.events)).not.toContain("at ")
    expect(readFileSync(join(b.root, "artifacts/runs", run, "bad.log"), "utf8")).toContain("failures.test.ts")
  })
  test("errors of ours pass with their exit code; a gate exits 3", async () => {
    const b = bench()
    const bad = await b.run(failing(b, async () => Promise.reject(new DataError({ message: "row 7 is cut", where: "in.jsonl:7" }))))
    expect(bad).toMatchObject({ outcome: "failed", exitCode: 1, error: { _tag: "DataError", where: "in.jsonl:7" } })
    const gate = await b.run(failing(b, async () => Promise.reject(new GateError({ message: "3 rows, minRows is 5" }))))
    expect(gate).toMatchObject({ outcome: "gate", exitCode: 3 })
  })
  test("a declared output that was not written fails the stage, and nothing is stored", async () => {
    const b = bench()
    const run = await b.run(
      failing(b, async () => undefined),
      { targets: ["below"] }
    )
    expect(run.error).toMatchObject({ _tag: "StageError", message: "it ended without writing its output out" })
    expect(await b.catalog((catalog) => catalog.entries())).toEqual([])
  })
  test("two stages with the same key run once, whatever they are called", async () => {
    const b = bench()
    const twins = pipeline("p", () => {
      b.add(counting("twin", {}), {}, { text: "t" })
      b.add(counting("twin", {}), {}, { text: "t", id: "other" })
    })
    expect((await b.run(twins)).outcome).toBe("done")
    expect(ran(b)).toHaveLength(1)
  })
  test("a missing file is told with the option that names it", async () => {
    const b = bench()
    await expect(b.run(diamond(b), { set: ["read.file=gone.txt"] })).rejects.toMatchObject({
      _tag: "DefinitionError",
      message: "no such file or folder: gone.txt",
      where: "stage read: file",
      hint: expect.stringContaining("--set read.file=")
    })
  })
})
