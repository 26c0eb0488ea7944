// From a pipeline's name to its plan, and from the plan to a run: where the commands meet the engine.
import * as Effect from "effect/Effect"
import { type Control, makeControl } from "#src/engine/control.ts"
import { Executor, type RunOptions, type RunSummary } from "#src/engine/Executor.ts"
import { prepare, type Prepared, type PrepareOptions } from "#src/engine/prepare.ts"
import { Catalog, makeCatalog } from "#src/store/Catalog.ts"
import { Workspace, type WorkspacePaths } from "#src/store/Workspace.ts"
import { loadPipeline } from "./load.ts"

const inWorkspace = <A>(workspace: WorkspacePaths, step: Effect.Effect<A, unknown, Workspace | Catalog>): Promise<A> =>
  Effect.runPromise(step.pipe(Effect.provideService(Workspace, workspace), Effect.provideService(Catalog, makeCatalog(workspace))))

/** @throws UsageError, DefinitionError, EnvironmentError */
export const planPipeline = async (workspace: WorkspacePaths, given: string, options: PrepareOptions): Promise<Prepared> => {
  const { definition } = await loadPipeline(workspace.pipelines, given)
  return inWorkspace(workspace, prepare(definition, options))
}

/** Starts the run. Its control stops it; the summary is rejected with an AnnealError where no run could begin. */
export const execute = (
  workspace: WorkspacePaths,
  prepared: Prepared,
  options: Omit<RunOptions, "control">
): { readonly control: Control; readonly summary: Promise<RunSummary> } => {
  const control = makeControl()
  const run = Executor.use((executor) => executor.run(prepared, { ...options, control })).pipe(Effect.provide(Executor.layer))
  return { control, summary: inWorkspace(workspace, run) }
}
