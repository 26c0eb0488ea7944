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

/** Modules that run in threads and processes of their own, so no import leads there. */
const launched: Readonly<Record<string, readonly string[]>> = { train: ["stages/train/replica.ts", "src/runtime/updateWorker.ts"] }

/** Digest of the modules (comments, formatting and types are inert) and package versions that a builtin stage's outputs come from. */
export const sourceDigest = (kind: string): string => {
  const entries = [`stages/${kind}/stage.ts`, ...(launched[kind] ?? [])]
  const graphs = entries.map((entry) => moduleGraph(join(root, entry), root, moduleReader))
  const sorted = (records: readonly Readonly<Record<string, string>>[]): unknown =>
    Object.entries(Object.assign({}, ...records) as Record<string, string>).sort(([a], [b]) => (a < b ? -1 : 1))
  // Compiled to WebAssembly, so no import leads there either.
  const kernels = kind === "train" ? readFileSync(join(root, "src/runtime/kernels/kernels.as.ts"), "utf8") : ""
  return createHash("sha256")
    .update(JSON.stringify([sorted(graphs.map(({ modules }) => modules)), sorted(graphs.map(({ packages }) => packages)), kernels]))
    .digest("hex")
}

export const currentVersions = (): RecordedVersions =>
  Object.fromEntries(Object.values(kinds).map(({ kind, version }) => [kind, { version, digest: sourceDigest(kind) }]))
