// A throw-away workspace with the project's own pipelines, and what `anneal show --json` tells of its runs.
import { cpSync } from "node:fs"
import { join, resolve } from "node:path"
import { makeWorkspace, type Workspace } from "../cli/cli.ts"

export const withPipelines = (): Workspace => {
  const workspace = makeWorkspace()
  cpSync(resolve(import.meta.dirname, "../../pipelines"), join(workspace.root, "pipelines"), { recursive: true })
  return workspace
}

export interface ShownStage {
  readonly id: string
  readonly outcome: string
  readonly metrics: Readonly<Record<string, number | null>>
}

/** A run's stages by id. */
export const stagesOf = async ({ anneal }: Workspace, run: string): Promise<Readonly<Record<string, ShownStage>>> => {
  const { stages } = JSON.parse((await anneal("show", run, "--json")).stdout) as { readonly stages: readonly ShownStage[] }
  return Object.fromEntries(stages.map((stage) => [stage.id, stage]))
}
