// What each builtin stage is made of: a digest of its transitive sources, shared by the test and by `npm run versions`.
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { moduleGraph } from "#src/engine/moduleGraph.ts"
import { moduleReader } from "#src/store/moduleReader.ts"
import { kinds } from "#stages/kinds.ts"

const root = resolve(import.meta.dirname, "../..")

export interface RecordedVersion {
  readonly version: number
  readonly digest: string
  /** Why the version stayed although the sources changed: the outputs are the same because … */
  readonly note?: string
}
export type RecordedVersions = Readonly<Record<string, RecordedVersion>>

export const recordPath = join(import.meta.dirname, "versions.json")

/** Digest of the modules (comments, formatting and types are inert) and package versions that a builtin stage's outputs come from. */
export const sourceDigest = (kind: string): string => {
  const { modules, packages } = moduleGraph(join(root, "stages", kind, "stage.ts"), root, moduleReader)
  const sorted = (record: Readonly<Record<string, string>>): unknown => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))
  // Compiled to WebAssembly, so no import leads there.
  const kernels = kind === "train" ? readFileSync(join(root, "src/runtime/kernels/kernels.as.ts"), "utf8") : ""
  return createHash("sha256")
    .update(JSON.stringify([sorted(modules), sorted(packages), kernels]))
    .digest("hex")
}

export const currentVersions = (): RecordedVersions =>
  Object.fromEntries(Object.values(kinds).map(({ kind, version }) => [kind, { version, digest: sourceDigest(kind) }]))
