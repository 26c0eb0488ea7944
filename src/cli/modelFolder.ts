// A model as the command line names it: a registered name, name@version, name@alias, or a folder.
import { existsSync, statSync } from "node:fs"
import { isAbsolute, join, resolve } from "node:path"
import { UsageError } from "#src/domain/Errors.ts"
import { objectPath } from "#src/store/Objects.ts"
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
