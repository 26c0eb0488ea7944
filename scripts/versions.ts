// Records the digests of the builtin stages' sources (test/stages/versions.json). A stage whose sources changed while its version
// stayed needs --note "why its outputs are the same".
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { currentVersions, recordPath, type RecordedVersions } from "../test/stages/sources.ts"

const at = process.argv.indexOf("--note")
const note = at < 0 ? undefined : process.argv[at + 1]
const before = existsSync(recordPath) ? (JSON.parse(readFileSync(recordPath, "utf8")) as RecordedVersions) : {}

const after = Object.entries(currentVersions()).map(([kind, now]) => {
  const old = before[kind]
  if (old === undefined || old.version !== now.version) return [kind, now] as const
  if (old.digest === now.digest) return [kind, old] as const
  if (note === undefined) {
    console.error(
      `✘ ${kind}: its sources changed, its version did not. Raise it in stages/${kind}/stage.ts, or say --note "why the outputs are the same"`
    )
    process.exit(1)
  }
  return [kind, { ...now, note }] as const
})
writeFileSync(recordPath, `${JSON.stringify(Object.fromEntries(after), null, 2)}\n`)
