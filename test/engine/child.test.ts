// Stages with a process of their own, played by small scripts that speak the protocol: crashes, stops, a dead engine.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { makeControl } from "#src/engine/control.ts"
import { pipeline } from "#src/engine/define.ts"
import { type Bench, counting } from "./stages.ts"
import { bench } from "./support.ts"

/** Writes the script of a stage's process; `body` sees task, send(message) and stopped(). */
const entry = ({ root }: Bench, body: string): string => {
  const path = join(root, "child.mjs")
  writeFileSync(
    path,
    `import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs"
    import { setTimeout as sleep } from "node:timers/promises"
    let stop = false
    const send = (message) => new Promise((done) => process.send(message, done))
    const stopped = async () => { while (!stop) await sleep(5) }
    process.on("disconnect", () => { stop = true })
    process.on("message", async (message) => {
      if (message.type === "stop") { stop = true; return }
      const { task } = message
      const output = task.workDir + "/out/out"
      ${body}
    })`
  )
  return path
}
const alone = (b: Bench) => pipeline("p", () => void b.add(counting("native", {}, undefined, { isolate: true }), {}, { text: "t" }))
const done = 'await send({ type: "done", result: { metrics: { loss: 1.5 } } }); process.exit(0)'
const end = (b: Bench) => b.events.find((event) => event._tag === "StageEnded")

test("task in, events out, result published", async () => {
  const b = bench()
  const childEntry = entry(
    b,
    `await send({ type: "event", event: { _tag: "Progress", done: 1, total: 2, unit: "step" } })
    writeFileSync(output, task.config.text + message.kind); ${done}`
  )
  expect((await b.run(alone(b), { childEntry })).outcome).toBe("done")
  expect(b.events.find((event) => event._tag === "Progress")).toMatchObject({ stage: "native", done: 1 })
  expect(end(b)).toMatchObject({ outcome: "done", metrics: { loss: 1.5 }, outputs: [{ name: "out", bytes: 7 }] })
})

describe("crashes fail the stage, not the engine", () => {
  test.each([
    ['process.kill(process.pid, "SIGABRT")', "its process was killed by SIGABRT", "native code gave up"],
    ['process.kill(process.pid, "SIGKILL")', "its process was killed by SIGKILL", "ran out of memory"],
    ['process.kill(process.pid, "SIGSEGV")', "its process was killed by SIGSEGV", "native code crashed"],
    ["process.exit(7)", "its process ended with exit code 7 without a result", "it wrote last: allocating"]
  ])("%s", async (crash, message, why) => {
    const b = bench()
    const childEntry = entry(b, `console.error("allocating"); ${crash}`)
    const run = await b.run(alone(b), { childEntry })
    expect(run).toMatchObject({ outcome: "failed", exitCode: 1, error: { _tag: "CrashError", message, why: expect.stringContaining(why) } })
    expect(run.error?.why).toContain("it wrote last: allocating")
    const fixed = entry(b, `writeFileSync(output, "x"); ${done}`)
    expect((await b.run(alone(b), { childEntry: fixed })).outcome).toBe("done")
  })
  test("an error of the stage crosses with its fields; its stack goes to the log", async () => {
    const b = bench()
    const error = { _tag: "TrainingError", message: "loss is NaN at step 3", where: "stage native", hint: "lower learningRate" }
    const childEntry = entry(
      b,
      `await send({ type: "failed", error: ${JSON.stringify(error)}, stack: "Error: at deep.ts:1" }); process.exit(0)`
    )
    const run = await b.run(alone(b), { childEntry })
    expect(run.error).toMatchObject(error)
    expect(readFileSync(join(b.root, "artifacts/runs", run.run, "native.log"), "utf8")).toContain("at deep.ts:1")
  })
  test("an entry that is not there", async () => {
    const b = bench()
    expect((await b.run(alone(b), { childEntry: join(b.root, "none.mjs") })).error?._tag).toBe("CrashError")
  })
})

describe("stopping", () => {
  const saving = `
    appendFileSync(task.checkpointDir + "/step", "1")
    writeFileSync(task.config.counter + ".up", "")
    if (readFileSync(task.checkpointDir + "/step", "utf8").length < 2) {
      await stopped()
      await send({ type: "failed", error: { _tag: "InterruptedError", message: "stopped at step 1" } })
      process.exit(0)
    }
    writeFileSync(output, "resumed"); ${done}`
  const up = async (b: Bench): Promise<void> => {
    while (!existsSync(join(b.root, "counter.txt.up"))) await sleep(5)
  }
  test("once: the step ends, the checkpoint stays, exit 130; the same command resumes and clears it", async () => {
    const b = bench()
    const childEntry = entry(b, saving)
    const control = makeControl()
    const running = b.run(alone(b), { childEntry, control })
    await up(b)
    control.stop()
    expect(await running).toMatchObject({ outcome: "stopped", exitCode: 130, stages: [{ outcome: "stopped" }] })
    expect(end(b)).toMatchObject({ outcome: "stopped", error: null })
    expect((await b.run(alone(b), { childEntry })).outcome).toBe("done")
    expect(readdirSync(join(b.root, "artifacts/checkpoints"))).toEqual([])
  })
  test("--restart drops the checkpoint", async () => {
    const b = bench()
    const childEntry = entry(b, saving)
    for (const restart of [[], ["native"]]) {
      const control = makeControl()
      const running = b.run(alone(b), { childEntry, control, restart })
      await up(b)
      control.stop()
      expect((await running).outcome).toBe("stopped")
    }
    await expect(b.run(alone(b), { childEntry, restart: ["natvie"] })).rejects.toMatchObject({ hint: expect.stringContaining("native") })
  })
  test("twice: the process is killed at once", async () => {
    const b = bench()
    const childEntry = entry(b, `writeFileSync(task.config.counter + ".up", ""); setInterval(() => {}, 1000)`)
    const control = makeControl()
    const running = b.run(alone(b), { childEntry, control })
    await up(b)
    control.stop()
    control.stop()
    expect(await running).toMatchObject({ outcome: "stopped", exitCode: 130 })
  })
  test("a stage in the engine's process hears it too, and a second stop does not wait for it", async () => {
    const b = bench()
    const control = makeControl()
    const polite = pipeline("p", () => {
      const one = b.add(
        counting("one", {}, async (context) => {
          control.stop()
          writeFileSync(context.output("out"), String(context.stopRequested()))
        }),
        {}
      )
      b.add(counting("two", { a: "text" }), { a: one })
    })
    expect(await b.run(polite, { control })).toMatchObject({ outcome: "stopped", stages: [{ outcome: "done" }, { outcome: "skipped" }] })
    const deaf = makeControl()
    const stuck = pipeline("q", () => {
      b.add(
        counting("stuck", {}, () => {
          deaf.stop()
          deaf.stop()
          return new Promise(() => undefined)
        }),
        {}
      )
    })
    expect(await b.run(stuck, { control: deaf })).toMatchObject({ outcome: "stopped", exitCode: 130 })
  })
})

test("a stale attempt cannot publish", async () => {
  const b = bench()
  const robbed = pipeline("p", () => {
    b.add(
      counting("robbed", {}, async (context) => {
        writeFileSync(context.output("out"), "late")
        writeFileSync(context.leasePath, JSON.stringify({ ...JSON.parse(readFileSync(context.leasePath, "utf8")), attempt: "newer" }))
        expect(context.verifyLease).toThrow(/taken over/)
      }),
      {}
    )
  })
  expect((await b.run(robbed)).error).toMatchObject({ _tag: "EnvironmentError", message: "another process has taken over this stage" })
  expect(await b.catalog((catalog) => catalog.entries())).toEqual([])
})
