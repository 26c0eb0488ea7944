// Where the base models of two runs came from, compared: a key holds the digest of their bytes, this says which revision gave them.
import { shortCommit } from "#src/domain/hubName.ts"
import type { Origin } from "#src/engine/bases.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { resolveRun, runEvents } from "./context.ts"

export interface OriginChange {
  readonly source: string
  readonly from: Origin
  readonly to: Origin
}

/** The base models of a run; none where its journal is gone. */
export const originsIn = async (workspace: WorkspacePaths, run: string): Promise<Readonly<Record<string, Origin>>> => {
  try {
    const started = runEvents(workspace, await resolveRun(workspace, run)).find((event) => event._tag === "RunStarted")
    return started === undefined ? {} : (started.sources as never as Record<string, Origin>)
  } catch {
    return {}
  }
}

/** @param reads the sources that count */
export const changedOrigins = (
  before: Readonly<Record<string, Origin>>,
  now: Readonly<Record<string, Origin>>,
  reads: (source: string) => boolean
): readonly OriginChange[] =>
  Object.entries(now).flatMap(([source, to]) => {
    const from = before[source]
    if (from === undefined || !reads(source) || (from.path === to.path && from.commit === to.commit)) return []
    return [{ source, from: originOf(from), to: originOf(to) }]
  })

const originOf = ({ path, commit }: Origin): Origin => ({ path, ...(commit === undefined ? {} : { commit }) })

/** "base: hf:org/name@main, commit 1a2b3c4 -> 5d6e7f8" */
export const originText = ({ source, from, to }: OriginChange): string =>
  from.path === to.path ? `${source}: ${to.path}, commit ${commitOf(from)} -> ${commitOf(to)}` : `${source}: ${whole(from)} -> ${whole(to)}`

const commitOf = ({ commit }: Origin): string => (commit === undefined ? "unknown" : shortCommit(commit))
const whole = (origin: Origin): string => (origin.commit === undefined ? origin.path : `${origin.path} (commit ${commitOf(origin)})`)
