// Runs the built command line in throw-away workspaces, as a user would: bin/anneal.js with dist/ from `npm run build`.
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"

const repository = resolve(import.meta.dirname, "../..")
const bin = join(repository, "bin/anneal.js")

/** Stages of the user's own: `count` writes a number after `to` steps of `ms` milliseconds, `double` doubles it, `fail` throws. */
const stages = `
import { appendFileSync, readFileSync, writeFileSync } from "node:fs"
import { defineStage, Schema } from "anneal"

export const count = defineStage({
  kind: "count", version: 1,
  config: Schema.Struct({ to: Schema.Int, ms: Schema.Int, fail: Schema.optionalKey(Schema.Boolean) }),
  inputs: {}, outputs: { numbers: "numbers" },
  executionOnly: ["ms"],
  run: async (context: any) => {
    appendFileSync("executed.txt", "count\\n")
    for (let step = 1; step <= context.config.to; step++) {
      await new Promise((done) => setTimeout(done, context.config.ms))
      context.emit({ _tag: "Metrics", step, values: { loss: 1 / step }, nonFinite: [] })
      context.emit({ _tag: "Progress", done: step, total: context.config.to, unit: "steps" })
      if (context.stopRequested()) {
        writeFileSync(context.checkpointDir + "/stopped", String(step))
        throw Object.assign(new Error("stopped"), { _tag: "InterruptedError", exitCode: 130 })
      }
    }
    if (context.config.fail) throw new Error("count went wrong")
    writeFileSync(context.output("numbers"), String(context.config.to))
    return { metrics: { last: context.config.to } }
  }
})
export const double = defineStage({
  kind: "double", version: 1, config: Schema.Struct({ by: Schema.Int }),
  inputs: { numbers: "numbers" }, outputs: { doubled: "numbers" },
  run: async (context: any) => {
    appendFileSync("executed.txt", "double\\n")
    const doubled = Number(readFileSync(context.inputs.numbers.path, "utf8")) * context.config.by
    writeFileSync(context.output("doubled"), String(doubled))
    return { summary: "got " + doubled, metrics: { value: doubled, odd: null } }
  }
})
`

const smallPipeline = `import { pipeline } from "anneal"
import { count, double } from "../stages/own.ts"

export default pipeline("small", { objective: "counts" }, () => { double({ numbers: count({}, { to: 5, ms: 1 }) }, { by: 2 }) })
`

export interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Workspace {
  readonly root: string
  readonly anneal: (...args: readonly string[]) => Promise<Result>
  /** The same with more environment variables. */
  readonly annealWith: (env: Readonly<Record<string, string>>, ...args: readonly string[]) => Promise<Result>
  /** Starts a command and hands the process over, for signals. */
  readonly start: (...args: readonly string[]) => {
    readonly process: ChildProcess
    readonly result: Promise<Result>
    readonly saw: (text: string) => Promise<void>
  }
  /** The same with more environment variables. */
  readonly startWith: (env: Readonly<Record<string, string>>, ...args: readonly string[]) => ReturnType<Workspace["start"]>
  readonly write: (path: string, text: string) => void
  readonly runs: () => readonly string[]
  /** Names of the stages' bodies that were executed, in order. */
  readonly executed: () => readonly string[]
}

/** A new workspace with pipelines/small.ts, gone when the test file ends (test/setup.ts). */
export const makeWorkspace = (): Workspace => {
  const root = mkdtempSync(join(tmpdir(), "anneal-cli-"))
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  write("stages/own.ts", stages)
  write("pipelines/small.ts", smallPipeline)
  write("package.json", '{"type":"module"}')
  mkdirSync(join(root, "node_modules"))
  symlinkSync(repository, join(root, "node_modules/anneal"))
  const launch = (env: Readonly<Record<string, string>>, args: readonly string[]) => {
    const { NO_COLOR: _1, FORCE_COLOR: _2, CI: _3, ANNEAL_UI: _4, NODE_OPTIONS: _5, ...rest } = process.env
    // No token and no mirror of the person who runs the tests, and no GPU that is not asked for by name.
    const clean = Object.fromEntries(Object.entries(rest).filter(([name]) => !/^(HF_|HUGGING_FACE_|ANNEAL_HUB)/.test(name)))
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: root,
      env: { ...clean, LANG: "C.UTF-8", CUDA_VISIBLE_DEVICES: "", ...env }
    })
    let [stdout, stderr] = ["", ""]
    const watchers = new Set<() => void>()
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString()
      for (const watcher of watchers) watcher()
    })
    const result = new Promise<Result>((done) => child.on("close", (code) => done({ code, stdout, stderr })))
    const saw = (text: string): Promise<void> =>
      new Promise((done, fail) => {
        const look = (): void => void (stderr.includes(text) && done())
        watchers.add(look)
        look()
        void result.then(() => fail(new Error(`ended without "${text}": ${stderr}`)))
      })
    return { process: child, result, saw }
  }
  return {
    root,
    write,
    anneal: (...args) => launch({}, args).result,
    annealWith: (env, ...args) => launch(env, args).result,
    start: (...args) => launch({}, args),
    startWith: (env, ...args) => launch(env, args),
    runs: () => readdirSync(join(root, "artifacts/runs")),
    executed: () => readFileSync(join(root, "executed.txt"), "utf8").trim().split("\n")
  }
}
