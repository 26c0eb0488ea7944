// The static part of `npm test`: types (with Effect's own diagnostics where its compiler is installed), lint, format.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"

// Effect's language service is a drop-in build of the same TypeScript version; it is published for linux-x64 only.
const effectTsc = "node_modules/@effect/tsgo-linux-x64/artifacts/typescript/7.0.2/tsc"
const bin = (name: string): string => `node_modules/.bin/${name}`

const checks: readonly (readonly [name: string, command: string, ...args: readonly string[]])[] = [
  ["types", bin("tsc"), "-p", "."],
  ...(existsSync(effectTsc) ? ([["effect's language service", effectTsc, "-p", "."]] as const) : []),
  ["lint", bin("oxlint"), "--type-aware", "--deny-warnings"],
  ["format", bin("oxfmt"), "--check", "."],
  ["docs/reference", process.execPath, "--conditions=source", "scripts/reference.ts", "--check"]
]
if (!existsSync(effectTsc)) console.log("- effect's language service: skipped, its compiler is published for linux-x64 only")

for (const [name, command, ...args] of checks) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" })
  if (status !== 0) {
    console.error(`${stdout}${stderr}`)
    console.error(`✘ ${name}: ${command} ${args.join(" ")}`)
    process.exit(1)
  }
  console.log(`✔ ${name}`)
}
