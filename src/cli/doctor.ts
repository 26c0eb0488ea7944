// `anneal doctor [pipeline]`: checks the machine, its devices and the workspace, each with what to do; --rebuild makes the catalog again.
import { accessSync, constants, existsSync, mkdirSync } from "node:fs"
import { statfs } from "node:fs/promises"
import { dirname } from "node:path"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { isAnnealError } from "#src/domain/Errors.ts"
import { bytes, plural } from "#src/report/format.ts"
import { autoDevice } from "#src/runtime/autoDevice.ts"
import type { Theme } from "#src/report/Theme.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { handler } from "./command.ts"
import { askCatalog, openWorkspace } from "./context.ts"
import { deviceLine, deviceStates } from "./devices.ts"
import * as flags from "./flags.ts"
import { note, print, printJson, themeFor } from "./output.ts"
import { version } from "./package.ts"

interface Check {
  readonly name: string
  readonly ok: boolean
  /** What was found. */
  readonly detail: string
  /** What to type or change; null where all is well. */
  readonly fix: string | null
}

/** Runs one check; `probe` says what it found or throws. */
const check = async (name: string, fix: string, probe: () => Promise<string> | string): Promise<Check> => {
  try {
    return { name, ok: true, detail: await probe(), fix: null }
  } catch (thrown) {
    const hint = isAnnealError(thrown) ? thrown.hint : undefined
    return { name, ok: false, detail: thrown instanceof Error ? (thrown.message.split("\n")[0] ?? "") : String(thrown), fix: hint ?? fix }
  }
}

const minimumFree = 1e9

const nearestExisting = (folder: string): string => (existsSync(folder) ? folder : nearestExisting(dirname(folder)))

const checks = (workspace: WorkspacePaths, pipeline: string | undefined): readonly Promise<Check>[] => [
  check("node", "install Node 22.19 or newer", () => {
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
    if (major < 22 || (major === 22 && minor < 19)) throw new Error(`Node ${process.versions.node} is too old`)
    return `${process.versions.node}, anneal ${version}`
  }),
  check("onnxruntime", "reinstall: npm ci (glibc 2.28 or newer is needed on Linux)", async () => {
    const [, { runtimeFacts }] = await Promise.all([import("#src/runtime/Session.ts"), import("#stages/facts.ts")])
    return `loads, version ${runtimeFacts({ device: "cpu", dtype: "float32" })["onnxruntime"]}`
  }),
  check("duckdb", "reinstall: npm ci, with optional dependencies", async () => {
    const { memory, withDatabase } = await import("#src/store/database.ts")
    const [row] = await withDatabase(memory, "write", (db) => db.rows<{ readonly version: string }>("select version() as version"))
    return `loads, ${row?.version}`
  }),
  check("artifacts", "choose a writable folder with --artifacts <folder>", () => {
    mkdirSync(workspace.artifacts, { recursive: true })
    accessSync(workspace.artifacts, constants.R_OK | constants.W_OK)
    return `${workspace.artifacts} is writable`
  }),
  check("disk", "free some space, or choose another disk with --artifacts <folder>", async () => {
    const { bavail, bsize } = await statfs(nearestExisting(workspace.artifacts))
    if (bavail * bsize < minimumFree) throw new Error(`only ${bytes(bavail * bsize)} free for artifacts`)
    return `${bytes(bavail * bsize)} free`
  }),
  check("catalog", "make it again with: anneal doctor --rebuild", async () => {
    const runs = await askCatalog(workspace, (catalog) => catalog.runs())
    return `readable, ${plural(runs.length, "run")}`
  }),
  ...(pipeline === undefined
    ? []
    : [
        check(`pipeline ${pipeline}`, `read the error of: anneal plan ${pipeline}`, async () => {
          const { planPipeline } = await import("./planning.ts")
          const { plan } = await planPipeline(workspace, pipeline, {})
          return `resolves, ${plural(plan.length, "stage")}`
        })
      ])
]

const line = (theme: Theme, { ok, name, detail, fix }: Check): string => {
  const glyph = ok ? theme.paint("green", theme.glyph.done) : theme.paint("red", theme.glyph.failed)
  return `${glyph} ${name.padEnd(12)} ${detail}${fix === null ? "" : `\n  try: ${fix}`}`
}

export const doctorCommand = Command.make(
  "doctor",
  {
    pipeline: Argument.String("pipeline").pipe(Argument.withDescription("also check that this pipeline resolves"), Argument.optional),
    rebuild: Flag.Boolean("rebuild").pipe(
      Flag.withDescription("make the catalog again from journals and objects"),
      Flag.withDefault(false)
    ),
    json: flags.json,
    ascii: flags.ascii,
    artifacts: flags.artifacts
  },
  handler(async ({ pipeline, rebuild, json, ascii, artifacts }) => {
    const workspace = openWorkspace(artifacts)
    if (rebuild) {
      const { runs, entries, models } = await askCatalog(workspace, (catalog) => catalog.rebuild())
      note(`rebuilt the catalog: ${plural(runs, "run")}, ${plural(entries, "result")}, ${plural(models, "model version")}`)
    }
    const found = await Promise.all(checks(workspace, Option.getOrUndefined(pipeline)))
    const devices = await deviceStates()
    const auto = autoDevice()
    if (json) printJson({ ok: found.every((one) => one.ok), checks: found, devices, auto })
    else {
      const theme = themeFor(process.stdout, ascii)
      for (const one of found) print(line(theme, one))
      for (const state of devices) print(deviceLine(theme, state))
      print(`  device: "auto" is ${auto.device}: ${auto.why}`)
    }
    return found.every((one) => one.ok) ? 0 : 5
  })
).pipe(
  Command.withDescription("Check the machine and the workspace; each problem comes with what to do."),
  Command.withExamples([
    { command: "anneal doctor quickstart", description: "the machine, and whether this pipeline resolves" },
    { command: "anneal doctor --rebuild", description: "make the catalog again from the journals" }
  ])
)
