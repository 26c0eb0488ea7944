// From a pipeline's name to its plan: what plan, why, status, doctor and run share.
import * as Effect from "effect/Effect"
import { prepare, type Prepared, type PrepareOptions } from "#src/engine/prepare.ts"
import { Catalog, makeCatalog } from "#src/store/Catalog.ts"
import { Workspace, type WorkspacePaths } from "#src/store/Workspace.ts"
import { loadPipeline } from "./load.ts"

export interface Planned extends Prepared {
  /** What the user types for the pipeline. */
  readonly name: string
}

/** Runs a step of the engine against a workspace. */
export const inWorkspace = <A>(workspace: WorkspacePaths, step: Effect.Effect<A, unknown, Workspace | Catalog>): Promise<A> =>
  Effect.runPromise(step.pipe(Effect.provideService(Workspace, workspace), Effect.provideService(Catalog, makeCatalog(workspace))))

/** @throws UsageError, DefinitionError, EnvironmentError */
export const planPipeline = async (workspace: WorkspacePaths, given: string, options: PrepareOptions): Promise<Planned> => {
  const { name, definition } = await loadPipeline(workspace.pipelines, given)
  return { name, ...(await inWorkspace(workspace, prepare(definition, options))) }
}
