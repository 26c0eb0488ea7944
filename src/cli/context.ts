// What most commands need first: the workspace, its catalog, a run by name. Everything heavy is imported when asked for.
import * as Effect from "effect/Effect"
import { UsageError } from "#src/domain/Errors.ts"
import type { RunEvent } from "#src/domain/RunEvent.ts"
import { type RunView, runViewOf } from "#src/domain/RunView.ts"
import { isAlive } from "#src/store/processes.ts"
import { readJournal } from "#src/store/Journal.ts"
import { namesIn } from "#src/store/Work.ts"
import { findWorkspace, journalPath, type WorkspacePaths } from "#src/store/Workspace.ts"
import type { CatalogService } from "#src/store/Catalog.ts"
import { hintFor } from "#src/domain/nearest.ts"

export const openWorkspace = (artifacts: string | undefined): WorkspacePaths => findWorkspace({ cwd: process.cwd(), artifacts })

/** The catalog's methods as promises; DuckDB is loaded here and not before. */
export const askCatalog = async <A>(workspace: WorkspacePaths, ask: (catalog: CatalogService) => Effect.Effect<A, unknown>): Promise<A> => {
  const { makeCatalog } = await import("#src/store/Catalog.ts")
  return Effect.runPromise(ask(makeCatalog(workspace)))
}

/** Whether a journal lies under this name. */
export const isRun = (workspace: WorkspacePaths, name: string): boolean => namesIn(workspace.runs).includes(name)

/** @throws UsageError with the nearest names; `latest` is the run that started last */
export const resolveRun = async (workspace: WorkspacePaths, name: string): Promise<string> => {
  if (isRun(workspace, name)) return name
  const runs = await askCatalog(workspace, (catalog) => catalog.runs())
  if (name === "latest" && runs[0] !== undefined) return runs[0].run
  if (runs.length === 0) throw new UsageError({ message: "there is no run yet", hint: "anneal run <pipeline>" })
  throw new UsageError({ message: `no run "${name}"`, hint: hintFor(name, ["latest", ...runs.map((run) => run.run)]) })
}

export const runEvents = (workspace: WorkspacePaths, run: string): readonly RunEvent[] => readJournal(journalPath(workspace, run))

/** How the run stands: a journal without an end whose process is gone is that of a crash. */
export const outcomeOf = (view: RunView): RunView["state"] | "crashed" => {
  const gone = view.pid === null || !isAlive({ pid: view.pid, pidStart: view.pidStart })
  return view.state === "running" && gone ? "crashed" : view.state
}

export const openRun = async (workspace: WorkspacePaths, name: string): Promise<RunView> =>
  runViewOf(runEvents(workspace, await resolveRun(workspace, name)))
