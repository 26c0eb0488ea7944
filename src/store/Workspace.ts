// Where things lie: the workspace is the nearest folder upwards that holds pipelines/; the store is its artifacts/ folder.
import { existsSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type AnnealError, toAnnealError, UsageError } from "#src/domain/Errors.ts"

/** Absolute paths. Folders of the store may not exist yet: writers make them. */
export interface WorkspacePaths {
  /** Folder that holds pipelines/; relative paths in pipeline files start here. */
  readonly root: string
  readonly pipelines: string
  readonly artifacts: string
  readonly objects: string
  readonly runs: string
  readonly work: string
  readonly leases: string
  readonly checkpoints: string
  readonly registry: string
  readonly catalog: string
  /** Digests of source files with the stat they were taken at. */
  readonly sources: string
  /** Base models from the Hugging Face hub: <org>--<name>/<commit>/. */
  readonly hub: string
  /** Absolute path of one that a pipeline file names. */
  readonly resolve: (path: string) => string
}

export interface WorkspaceOptions {
  readonly cwd: string
  /** Store folder; default ANNEAL_ARTIFACTS, else <root>/artifacts. Relative to cwd. */
  readonly artifacts?: string | undefined
}

const nearest = (folder: string): string | undefined => {
  if (existsSync(join(folder, "pipelines"))) return folder
  const parent = dirname(folder)
  return parent === folder ? undefined : nearest(parent)
}

/** @throws UsageError where no folder upwards holds pipelines/ */
export const findWorkspace = ({ cwd, artifacts }: WorkspaceOptions): WorkspacePaths => {
  const root = nearest(resolve(cwd))
  if (root === undefined) {
    throw new UsageError({
      message: `no pipelines/ folder in ${cwd} or above it`,
      hint: "change into a project folder, or make one with: anneal init"
    })
  }
  const given = artifacts ?? process.env["ANNEAL_ARTIFACTS"]
  const store = given === undefined || given === "" ? join(root, "artifacts") : resolve(cwd, given)
  // Several projects can share one copy of a model.
  const hub = process.env["ANNEAL_HUB_CACHE"]
  return pathsOf(root, store, hub === undefined || hub === "" ? undefined : resolve(cwd, hub))
}

export const pathsOf = (root: string, artifacts: string, hub = join(artifacts, "hub")): WorkspacePaths => ({
  root,
  pipelines: join(root, "pipelines"),
  artifacts,
  objects: join(artifacts, "objects"),
  runs: join(artifacts, "runs"),
  work: join(artifacts, "work"),
  leases: join(artifacts, "leases"),
  checkpoints: join(artifacts, "checkpoints"),
  registry: join(artifacts, "registry"),
  catalog: join(artifacts, "catalog.duckdb"),
  sources: join(artifacts, "sources.json"),
  hub,
  resolve: (path) => resolve(root, path)
})

/** In the folder of a run lie events.jsonl and one <stage>.log a stage. */
export const journalPath = (workspace: WorkspacePaths, run: string): string => join(workspace.runs, run, "events.jsonl")
export const logPath = (workspace: WorkspacePaths, run: string, stage: string): string => join(workspace.runs, run, `${stage}.log`)

export class Workspace extends Context.Service<Workspace, WorkspacePaths>()("anneal/store/Workspace") {
  static layer(options: WorkspaceOptions): Layer.Layer<Workspace, AnnealError> {
    return Layer.effect(Workspace, Effect.try({ try: () => findWorkspace(options), catch: (u) => toAnnealError(u, "workspace") }))
  }
}
