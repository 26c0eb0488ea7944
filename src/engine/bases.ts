// Where the base models of a pipeline lie and what their bytes are: folders, and models of the Hugging Face hub, which a run
// downloads and a plan only asks after.
import { bytes } from "#src/domain/bytes.ts"
import { type HubName, hubName, shortCommit } from "#src/domain/hubName.ts"
import type { HubCommit } from "#src/domain/ModelInfo.ts"
import type { SourceDef } from "#src/domain/Pipeline.ts"
import type { Digest } from "#src/store/digest.ts"
import { type DownloadHooks, type Hub, openHub } from "#src/store/Hub.ts"
import type { Sources } from "#src/store/Sources.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"

/** Runs a download with a way to watch and to stop it. */
export type Downloading = (work: (hooks: DownloadHooks) => Promise<void>) => Promise<void>

/** Where a base model comes from, as the journal keeps it. */
export interface Origin {
  /** As written in the pipeline file. */
  readonly path: string
  /** Of a model of the hub: what its revision means now. */
  readonly commit?: string
}

export interface BaseFolder extends Digest {
  /** Absolute. */
  readonly path: string
  readonly hub?: HubCommit
}

export interface Bases {
  readonly origins: Readonly<Record<string, Origin>>
  /** By source id; a model that is not downloaded is missing. */
  readonly sources: Readonly<Record<string, BaseFolder>>
  readonly warnings: readonly string[]
}

export interface BaseOptions {
  /** Absent in a plan: what is not here counts as still to come. */
  readonly download?: Downloading | undefined
  readonly remember: boolean
}

/**
 * @param needed ids of the sources that the selected stages hang on: others are not asked for at the hub
 * @param digestFolder digest of a folder as written
 * Errors: those of `Hub`, DefinitionError for a folder that is not there
 */
export const readBases = async (
  workspace: WorkspacePaths,
  all: readonly SourceDef[],
  needed: ReadonlySet<string>,
  files: Sources,
  digestFolder: (source: SourceDef) => Promise<Digest>,
  options: BaseOptions
): Promise<Bases> => {
  const origins: Record<string, Origin> = {}
  const sources: Record<string, BaseFolder> = {}
  const warnings: string[] = []
  const named = all.map((source) => ({ source, name: hubName(source.path, `source ${source.id}: path`) }))
  // Folders first: a path that is wrong should not be found out after a long download.
  for (const { source, name } of named.toSorted((a, b) => Number(a.name !== undefined) - Number(b.name !== undefined))) {
    const { id, path } = source
    origins[id] = { path }
    if (name === undefined) sources[id] = { ...(await digestFolder(source)), path: workspace.resolve(path) }
    else if (needed.has(id)) {
      const found = await readHubBase(openHub(workspace), name, files, options)
      origins[id] = { path, commit: found.commit }
      if (found.base !== undefined) sources[id] = found.base
      if (found.warning !== undefined) warnings.push(`${id}: ${found.warning}`)
    }
  }
  return { origins, sources, warnings }
}

interface HubBase {
  readonly commit: string
  readonly base?: BaseFolder
  readonly warning?: string
}

const readHubBase = async (hub: Hub, name: HubName, files: Sources, { download, remember }: BaseOptions): Promise<HubBase> => {
  const copy = await hub.locate(name)
  const { commit, folder, warning } = copy
  if (!copy.present && download === undefined) {
    const size = bytes(await hub.sizeOf(name, commit))
    return { commit, warning: `${name.text} is not downloaded yet (commit ${shortCommit(commit)}, ${size}): a run does that first` }
  }
  if (!copy.present) await download?.((hooks) => hub.download(name, commit, hooks))
  if (remember) hub.remember(name, commit)
  const digest = await files.digest(folder)
  hub.check(name, copy, digest)
  return { commit, base: { ...digest, path: folder, hub: { repo: name.repo, commit } }, ...(warning === undefined ? {} : { warning }) }
}
