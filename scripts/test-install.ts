// `npm run test:install`: packs anneal, installs the tarball in an empty folder, makes a project with `anneal init`, runs it
// twice, and type-checks its pipeline file as an editor would. Needs the package registry; not part of `npm test`.
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const folder = mkdtempSync(join(tmpdir(), "anneal-install-"))
// The documented line: without it onnxruntime-node's own script downloads CUDA libraries.
const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" }

const run = (cwd: string, command: string, ...args: readonly string[]): string => {
  console.log(`$ ${command} ${args.join(" ")}`)
  return execFileSync(command, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 1 << 28 })
}
const expect = (what: string, holds: boolean): void => {
  if (!holds) throw new Error(`does not hold: ${what} (folder kept: ${folder})`)
  console.log(`✔ ${what}`)
}

const packed = JSON.parse(run(root, "npm", "pack", "--json", "--ignore-scripts", "--pack-destination", folder)) as unknown
// npm 11 prints a list, npm 12 an object by package name.
const [{ filename }] = Object.values(packed as Record<string, { readonly filename: string }>) as [{ readonly filename: string }]
run(folder, "npm", "install", "--no-audit", "--no-fund", join(folder, filename))

run(folder, "npx", "--no-install", "anneal", "init")
const first = JSON.parse(run(folder, "npx", "--no-install", "anneal", "plan", "quickstart", "--json")) as Plan
expect("a fresh project plans eight stages to run", first.stages.length === 8 && first.stages.every((stage) => stage.decision === "run"))
run(folder, "npx", "--no-install", "anneal", "run", "quickstart", "--ui", "plain")
const second = JSON.parse(run(folder, "npx", "--no-install", "anneal", "plan", "quickstart", "--json")) as Plan
expect(
  "after the run everything is reused",
  second.stages.every((stage) => stage.decision === "reuse")
)

const tsconfig = {
  compilerOptions: { strict: true, module: "NodeNext", target: "ES2024", noEmit: true, skipLibCheck: true },
  include: ["pipelines"]
}
writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(tsconfig))
run(folder, join(root, "node_modules/.bin/tsc"), "-p", ".")
writeFileSync(
  join(folder, "pipelines", "wrong.ts"),
  'import { ingest, pipeline } from "anneal"\nexport default pipeline("wrong", () => ingest({ from: 1, as: "text" }))\n'
)
let typed = false
try {
  run(folder, join(root, "node_modules/.bin/tsc"), "-p", ".")
} catch {
  typed = true
}
expect("a wrong option is a type error in the installed package", typed)
rmSync(folder, { recursive: true, force: true })

interface Plan {
  readonly stages: readonly { readonly decision: string }[]
}
