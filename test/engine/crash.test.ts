// Several processes on one workspace, and processes that die at the worst moments: each stage's work is done once, what was
// published stays, at most the stage that was going on is redone, to the same bytes.
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, readdirSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { withDatabase } from "#src/store/database.ts"
import { slowPipeline } from "./runner.ts"
import { benchIn } from "./stages.ts"
import { temporaryWorkspace } from "./support.ts"

const runner = resolve(import.meta.dirname, "runner.ts")
const start = (root: string, order = "wait"): ChildProcess =>
  spawn(process.execPath, ["--conditions=source", "--no-warnings", runner, root, order], { stdio: ["ignore", "pipe", "inherit"] })
const printed = async (
  child: ChildProcess
): Promise<{ readonly exitCode: number; readonly outcomes: readonly string[]; readonly waited: boolean }> => {
  const parts: Buffer[] = []
  for await (const part of child.stdout ?? []) parts.push(part as Buffer)
  return JSON.parse(Buffer.concat(parts).toString("utf8"))
}
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await sleep(10)
}
const ended = (child: ChildProcess): Promise<unknown> => new Promise((done) => child.once("exit", done))

test("two runs of one pipeline at once: each stage runs once, both end well, one waits for the other", async () => {
  const root = temporaryWorkspace()
  const runs = [start(root), start(root)]
  const results = runs.map(printed)
  await until(() => existsSync(join(root, "started")))
  await until(() => readdirSync(join(root, "artifacts/runs")).length === 2)
  await sleep(300)
  writeFileSync(join(root, "go"), "")
  const [a, b] = await Promise.all(results)
  expect([a?.exitCode, b?.exitCode]).toEqual([0, 0])
  expect([...benchIn(root).ran()].sort()).toEqual(["first", "last", "slow"])
  expect([a?.waited, b?.waited]).toContain(true)
  expect(readdirSync(join(root, "artifacts/leases"))).toEqual([])
  expect(readdirSync(join(root, "artifacts/work"))).toEqual([])
})

describe("kill -9, then the same command again", () => {
  const again = async (root: string) => {
    writeFileSync(join(root, "go"), "")
    const b = benchIn(root)
    const before = b.ran()
    const summary = await b.run(slowPipeline(b, "wait"))
    expect(summary.exitCode).toBe(0)
    expect(readdirSync(join(root, "artifacts/work"))).toEqual([])
    expect((await b.catalog((catalog) => catalog.runs())).map((run) => run.outcome).sort()).toEqual(["crashed", "done"])
    return { before, ran: b.ran(), digest: summary.stages.at(-1)?.entry?.outputs[0]?.digest }
  }
  const expected = async (): Promise<string | undefined> => {
    const root = temporaryWorkspace()
    writeFileSync(join(root, "go"), "")
    const b = benchIn(root)
    return (await b.run(slowPipeline(b, "wait"))).stages.at(-1)?.entry?.outputs[0]?.digest
  }

  test.each(["wait", "write"])("within a stage (%s first)", async (order) => {
    const root = temporaryWorkspace()
    const child = start(root, order)
    await until(() => existsSync(join(root, "started")))
    child.kill("SIGKILL")
    await ended(child)
    expect(readdirSync(join(root, "artifacts/work"))).toHaveLength(1)
    expect(await again(root)).toEqual({ before: ["first", "slow"], ran: ["slow", "last"], digest: await expected() })
  })

  test("between publishing the object and the catalog's commit", async () => {
    const root = temporaryWorkspace()
    const child = start(root)
    await until(() => existsSync(join(root, "started")))
    const objects = (): number => readdirSync(join(root, "artifacts/objects"), { recursive: true }).length
    await withDatabase(join(root, "artifacts/catalog.duckdb"), "write", async () => {
      // The commit cannot happen while the catalog is held here.
      const before = objects()
      writeFileSync(join(root, "go"), "")
      await until(() => objects() >= before + 2)
      await sleep(50)
      child.kill("SIGKILL")
      await ended(child)
    })
    expect(await again(root)).toEqual({ before: ["first", "slow"], ran: ["slow", "last"], digest: await expected() })
  })
})
