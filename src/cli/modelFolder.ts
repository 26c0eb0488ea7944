// A model as the command line names it: a registered name, name@version, name@alias, or a folder; and the base of an adapter.
import { existsSync, statSync } from "node:fs"
import { isAbsolute, join, resolve } from "node:path"
import { DataError, UsageError } from "#src/domain/Errors.ts"
import type { FindBase } from "#src/runtime/RunnableModel.ts"
import { hubFolder } from "#src/store/Hub.ts"
import { objectPath } from "#src/store/Objects.ts"
import { openSources } from "#src/store/Sources.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { findModel } from "./models.ts"

export interface ModelFolder {
  /** What people call it: name@version, or the folder as given. */
  readonly title: string
  readonly folder: string
}

/** @throws UsageError where neither a model nor a folder with a config.json is meant */
export const findModelFolder = async (workspace: WorkspacePaths, reference: string): Promise<ModelFolder> => {
  const looksLikePath = reference.startsWith(".") || isAbsolute(reference) || reference.includes("/")
  if (looksLikePath || (existsSync(reference) && statSync(reference).isDirectory())) {
    if (existsSync(join(reference, "config.json"))) return { title: reference, folder: resolve(reference) }
    throw new UsageError({
      message: `${reference} is no model folder: it has no config.json`,
      hint: "give a folder in Hugging Face layout, or a registered name (see: anneal models)"
    })
  }
  const model = await findModel(workspace, reference)
  return { title: `${model.name}@${model.version}`, folder: objectPath(workspace, model.digest) }
}

/**
 * Finds an adapter's base where anneal.json says, or where this workspace keeps models of the hub, and refuses one that changed
 * since: the adapter would not fit it.
 */
export const baseFinder =
  (workspace: WorkspacePaths): FindBase =>
  async ({ path, digest, hub }) => {
    const folders = [resolve(workspace.root, path), ...(hub === undefined ? [] : [hubFolder(workspace, hub.repo, hub.commit)])]
    const present = folders.filter((folder) => existsSync(folder))
    for (const folder of present) if ((await openSources(workspace).digest(folder)).digest === digest) return folder
    throw new DataError({
      message:
        present.length === 0
          ? `the adapter's base model is gone: ${hub === undefined ? path : `hf:${hub.repo}@${hub.commit}`}`
          : `the base model in ${path} is not the one of the training`,
      where: folders[0] as string,
      why: "an adapter only fits the base that it was trained on",
      hint: hub === undefined ? "bring that folder back as it was" : "run the pipeline that trained it: it downloads the base again"
    })
  }
