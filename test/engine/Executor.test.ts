// Runs as users see them: what runs, what is reused, and why, over a small diamond of counting stages.
import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { pipeline } from "#src/engine/define.ts"
import { runName } from "#src/engine/runNames.ts"
import { objectPath } from "#src/store/Objects.ts"
import { pathsOf } from "#src/store/Workspace.ts"
import { type Bench, concatenate, counting, decisions, diamond, write } from "./stages.ts"
import { bench } from "./support.ts"

const ran = (b: Bench): readonly string[] => [...b.ran()].sort()
const all = ["join", "left", "read", "right"]
const objectOf = async (b: Bench, stage: string): Promise<string> => {
  const entry = (await b.catalog((catalog) => catalog.entries())).find((one) => one.stage === stage)
  return objectPath(pathsOf(b.root, join(b.root, "artifacts")), entry?.outputs[0]?.digest ?? "")
}
const reasonOf = (run: { readonly plan: Awaited<ReturnType<Bench["run"]>>["plan"] }, id: string) =>
  run.plan.find((stage) => stage.id === id)?.reason

describe("what runs is what the plan says", () => {
  test("cold: all of it; warm: nothing; the same from another process's eyes", async () => {
    const b = bench()
    const cold = await b.run(diamond(b))
    expect(decisions(cold)).toEqual({ read: "run", left: "run", right: "run", join: "run" })
    expect(cold.plan.map((stage) => stage.reason?.code)).toEqual(["never-ran", "never-ran", "never-ran", "never-ran"])
    expect(ran(b)).toEqual(all)
    const warm = await b.run(diamond(b))
    expect(decisions(warm)).toEqual({ read: "reuse", left: "reuse", right: "reuse", join: "reuse" })
    expect(warm.stages.map((end) => [end.outcome, end.entry?.run])).toEqual(all.map(() => ["reused", cold.run]))
    expect(ran(b)).toEqual([])
  })
  test("one option changed: its stage, then what hangs below it; the reason names old and new", async () => {
    const b = bench()
    const first = await b.run(diamond(b))
    ran(b)
    const changed = await b.run(diamond(b), { set: ["left.text=L"] })
    expect(decisions(changed)).toEqual({ read: "reuse", left: "run", right: "reuse", join: "maybe" })
    expect(reasonOf(changed, "left")).toMatchObject({
      code: "config",
      field: "config.text",
      from: "l",
      to: "L",
      run: first.run,
      text: "left.text l -> L"
    })
    expect(reasonOf(changed, "join")).toMatchObject({ code: "upstream", field: "left" })
    expect(ran(b)).toEqual(["join", "left"])
  })
  test("A -> B -> A: the third run executes nothing", async () => {
    const b = bench()
    await b.run(diamond(b))
    await b.run(diamond(b), { set: ["left.text=L"] })
    ran(b)
    expect((await b.run(diamond(b))).plan.every((stage) => stage.decision === "reuse")).toBe(true)
    expect(ran(b)).toEqual([])
  })
  test("early cutoff: a stage that reruns to the same bytes stops the wave", async () => {
    const b = bench()
    const definition = (version: number) =>
      pipeline("p", () => {
        const one = b.add(counting("one", {}, concatenate, { version }), {}, { text: "x" })
        b.add(counting("two", { a: "text" }), { a: one })
      })
    await b.run(definition(1))
    ran(b)
    const again = await b.run(definition(2))
    expect(decisions(again)).toEqual({ one: "run", two: "maybe" })
    expect(reasonOf(again, "one")).toMatchObject({ code: "code", from: 1, to: 2 })
    expect(ran(b)).toEqual(["one"])
    expect(again.stages.map((end) => end.outcome)).toEqual(["done", "reused"])
  })
  test("source bytes decide, not times; a file's ending counts", async () => {
    const b = bench()
    await b.run(diamond(b))
    utimesSync(join(b.root, "in.txt"), new Date(), new Date(0))
    ran(b)
    await b.run(diamond(b))
    expect(ran(b)).toEqual([])
    write(b.root, "in.txt", "swor")
    const changed = await b.run(diamond(b))
    expect(reasonOf(changed, "read")).toMatchObject({ code: "input", field: "file.file[0]" })
    expect(ran(b)).toEqual(all)
    write(b.root, "in.csv", "swor")
    expect(decisions(await b.prepare(diamond(b), { set: ["read.file=in.csv"] }))["read"]).toBe("run")
    write(b.root, "copy.txt", "swor")
    expect(decisions(await b.prepare(diamond(b), { set: ["read.file=copy.txt"] }))["read"]).toBe("reuse")
  })
  test("an execution-only option changes no key", async () => {
    const b = bench()
    await b.run(diamond(b))
    ran(b)
    await b.run(diamond(b), { set: [`join.counter=${join(b.root, "counter2.txt")}`] })
    expect(ran(b)).toEqual([])
  })
  test("--force runs a stage again; unchanged bytes stop there", async () => {
    const b = bench()
    await b.run(diamond(b))
    ran(b)
    const forced = await b.run(diamond(b), { force: ["left"] })
    expect(decisions(forced)).toEqual({ read: "reuse", left: "run", right: "reuse", join: "maybe" })
    expect(reasonOf(forced, "left")?.code).toBe("forced")
    expect(ran(b)).toEqual(["left"])
  })
  test("--from forces a stage and all below it, and leaves the other arm alone", async () => {
    const b = bench()
    await b.run(diamond(b))
    ran(b)
    expect(decisions(await b.run(diamond(b), { from: "left" }))).toEqual({ read: "reuse", left: "run", right: "reuse", join: "run" })
    expect(ran(b)).toEqual(["join", "left"])
  })
  test("targets bring what they need; --only brings nothing and says what is lacking", async () => {
    const b = bench()
    const target = await b.run(diamond(b), { targets: ["left"] })
    expect(target.plan.map((stage) => stage.id)).toEqual(["read", "left"])
    expect(ran(b)).toEqual(["left", "read"])
    await expect(b.prepare(diamond(b), { only: ["join"] })).rejects.toMatchObject({
      _tag: "UsageError",
      message: "join needs the result of right, which is not there"
    })
    expect((await b.run(diamond(b), { only: ["right"] })).plan.map((stage) => stage.id)).toEqual(["right"])
    expect(ran(b)).toEqual(["right"])
    await expect(b.prepare(diamond(b), { force: ["rihgt"] })).rejects.toMatchObject({
      hint: expect.stringContaining("did you mean right?")
    })
  })
})

test("a plan writes nothing, cold or warm", async () => {
  const b = bench()
  await b.prepare(diamond(b))
  expect(existsSync(join(b.root, "artifacts"))).toBe(false)
  await b.run(diamond(b))
  const stats = () =>
    readdirSync(join(b.root, "artifacts"), { recursive: true, encoding: "utf8" }).map((name) => {
      const { ino, mtimeNs, ctimeNs } = statSync(join(b.root, "artifacts", name), { bigint: true })
      return [name, ino, mtimeNs, ctimeNs]
    })
  const before = stats()
  await b.prepare(diamond(b), { set: ["left.text=L"], force: ["right"] })
  expect(stats()).toEqual(before)
})

test("names of runs: two words, none twice, one can be given", async () => {
  expect(new Set(Array.from({ length: 3000 }, (_, n) => runName(n))).size).toBe(3000)
  const b = bench()
  const names = [(await b.run(diamond(b))).run, (await b.run(diamond(b))).run, (await b.run(diamond(b), { name: "mine" })).run]
  expect(names).toEqual([expect.stringMatching(/^[a-z]+-[a-z]+$/), expect.stringMatching(/^[a-z]+-[a-z]+$/), "mine"])
  await expect(b.run(diamond(b), { name: "mine" })).rejects.toMatchObject({
    _tag: "UsageError",
    message: "there is a run called mine already"
  })
  for (const name of ["../mine", "latest"]) await expect(b.run(diamond(b), { name })).rejects.toMatchObject({ _tag: "UsageError" })
})

describe("results that are not what they were", () => {
  test("deleted: missed for that reason, made again, then reused", async () => {
    const b = bench()
    await b.run(diamond(b))
    rmSync(await objectOf(b, "left"))
    ran(b)
    const again = await b.run(diamond(b))
    expect(reasonOf(again, "left")).toMatchObject({ code: "missing", field: "out" })
    expect(decisions(again)["join"]).toBe("maybe")
    expect(ran(b)).toEqual(["left"])
    await b.run(diamond(b))
    expect(ran(b)).toEqual([])
  })
  test("a byte flipped: never served", async () => {
    const b = bench()
    await b.run(diamond(b))
    const path = await objectOf(b, "left")
    const bytes = readFileSync(path)
    bytes[0] = (bytes[0] ?? 0) ^ 1
    writeFileSync(path, bytes)
    ran(b)
    expect(reasonOf(await b.run(diamond(b)), "left")?.code).toBe("corrupt")
    expect(ran(b)).toEqual(["left"])
    expect(readFileSync(await objectOf(b, "left"), "utf8")).toBe("l\n\n\nrows")
  })
  test("the catalog deleted: made again from journals and objects, at once or by rebuild", async () => {
    const b = bench()
    await b.run(diamond(b))
    await b.run(diamond(b), { set: ["left.text=L"] })
    ran(b)
    rmSync(join(b.root, "artifacts/catalog.duckdb"))
    expect((await b.prepare(diamond(b))).plan.every((stage) => stage.decision === "reuse")).toBe(true)
    await b.run(diamond(b))
    expect(ran(b)).toEqual([])
    const before = await b.catalog((catalog) => catalog.entries())
    expect(await b.catalog((catalog) => catalog.rebuild())).toEqual({ runs: 3, entries: 6, models: 0 })
    expect(await b.catalog((catalog) => catalog.entries())).toEqual(before)
    expect((await b.catalog((catalog) => catalog.runs())).map((run) => run.outcome)).toEqual(["done", "done", "done"])
  })
})
