// A model as the command line names it: a registered name, name@version, name@alias, or a folder; and the base of an adapter.
import { existsSync, statSync } from "node:fs"
import { isAbsolute, join, resolve } from "node:path"
import * as Flag from "effect/cli/Flag"
import { DataError, UsageError } from "#src/domain/Errors.ts"
import type { ModelInfo } from "#src/domain/ModelInfo.ts"
import type { FindBase } from "#src/runtime/RunnableModel.ts"
import { hubFolder } from "#src/store/Hub.ts"
import { checkObject, objectPath } from "#src/store/Objects.ts"
import { openSources } from "#src/store/Sources.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { maybe } from "./flags.ts"
import { findModel } from "./models.ts"

export interface ModelFolder {
  /** What people call it: name@version, or the folder as given. */
  readonly title: string
  readonly folder: string
}

/** @throws UsageError where neither a model nor a folder with a model or an adapter is meant; DataError where a registered one is damaged */
export const findModelFolder = async (workspace: WorkspacePaths, reference: string): Promise<ModelFolder> => {
  const looksLikePath = reference.startsWith(".") || isAbsolute(reference) || reference.includes("/")
  if (looksLikePath || (existsSync(reference) && statSync(reference).isDirectory())) {
    if (["config.json", "adapter_config.json"].some((file) => existsSync(join(reference, file))))
      return { title: reference, folder: resolve(reference) }
    throw new UsageError({
      message: `${reference} is no model folder: it has neither a config.json nor an adapter_config.json`,
      hint: "give a folder in Hugging Face or PEFT layout, or a registered name (see: anneal models)"
    })
  }
  const { name, version, digest } = await findModel(workspace, reference)
  const [title, folder] = [`${name}@${version}`, objectPath(workspace, digest)]
  const state = await checkObject(workspace, digest, false)
  if (state === "intact") return { title, folder }
  throw new DataError({
    message: `${title} ${state === "missing" ? "is gone from the store" : "was changed in the store"}`,
    where: folder,
    ...(state === "missing" ? {} : { why: "its bytes are no longer those that were registered" }),
    hint: "run its pipeline again: the stage that made it then runs anew"
  })
}

/** Where an adapter's base lies, as the user says it. */
export const baseFlag = maybe(
  Flag.String("base").pipe(
    Flag.withMetavar("folder"),
    Flag.withDescription("the base of an adapter that anneal did not train, or of one whose base has moved")
  )
)

/**
 * Finds an adapter's base: in the folder that the user gives, else where anneal.json says, or where this workspace keeps models of
 * the hub. One that is not the base of the training is refused: the adapter would not fit it.
 */
export const baseFinder =
  (workspace: WorkspacePaths, given?: string): FindBase =>
  async (base, named) => {
    const digestOf = async (folder: string): Promise<string> => (await openSources(workspace).digest(folder)).digest
    if (given !== undefined) return givenBase(resolve(given), base, digestOf)
    if (base === undefined) {
      throw new UsageError({
        message: "the folder holds an adapter, but no anneal.json that says over which base",
        ...(named === "" ? {} : { why: `its adapter_config.json names ${named}` }),
        hint: "give the base's folder: --base <folder>"
      })
    }
    const { path, digest, hub } = base
    const folders = [resolve(workspace.root, path), ...(hub === undefined ? [] : [hubFolder(workspace, hub.repo, hub.commit)])]
    const present = folders.filter((folder) => existsSync(folder))
    for (const folder of present) if ((await digestOf(folder)) === digest) return folder
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

const givenBase = async (
  folder: string,
  base: ModelInfo["base"] | undefined,
  digestOf: (folder: string) => Promise<string>
): Promise<string> => {
  if (!existsSync(join(folder, "config.json")))
    throw new UsageError({ message: `--base ${folder} is no model folder: it has no config.json`, hint: "give the base's folder" })
  if (base === undefined || (await digestOf(folder)) === base.digest) return folder
  throw new DataError({
    message: `the base model in ${folder} is not the one of the training`,
    where: folder,
    why: `an adapter only fits the base that it was trained on: ${base.path}, ${base.digest}`,
    hint: "give that base's folder"
  })
}
