// What a plan reads of the outside world: digests of files, code and base models, and what configs leave to the plan.
import { extname } from "node:path"
import { DefinitionError } from "#src/domain/Errors.ts"
import type { Digest } from "#src/store/digest.ts"
import { moduleReader } from "#src/store/moduleReader.ts"
import type { Sources } from "#src/store/Sources.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { type Bases, type Downloading, readBases } from "./bases.ts"
import type { FingerprintInput } from "./Fingerprint.ts"
import { withNeeds } from "./order.ts"
import type { Chosen } from "./Planner.ts"
import type { ResolvedPipeline, ResolvedStage } from "./resolve.ts"
import { openFields, settle, type SettledPipeline, type SettledStage } from "./settle.ts"

export interface Outside extends Bases {
  readonly pipeline: SettledPipeline
  /** Of every stage: all of the key but its inputs. */
  readonly parts: ReadonlyMap<string, Omit<FingerprintInput, "inputs">>
}

export interface OutsideOptions {
  readonly download?: Downloading | undefined
  readonly remember?: boolean | undefined
}

/** @throws DefinitionError for a file that is not there, what settling a config throws, and the errors of the hub */
export const readOutside = async (
  workspace: WorkspacePaths,
  pipeline: ResolvedPipeline,
  { selected }: Chosen,
  sources: Sources,
  { download, remember = false }: OutsideOptions
): Promise<Outside> => {
  const digest = async (path: string, where: string): Promise<Digest> => {
    const absolute = workspace.resolve(path)
    return sources.digest(absolute).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error
      throw new DefinitionError({
        message: `no such file or folder: ${path}`,
        where,
        why: `looked for ${absolute}`,
        hint: `check the path, or give another one with --set ${where.replace(/^(stage|source) /, "").replace(": ", ".")}=<path>`
      })
    })
  }
  const owns = new Map<string, Own>()
  const warnings = new Set<string>()
  for (const stage of pipeline.stages) {
    const files: Record<string, { digest: string; extension: string }[]> = {}
    for (const [field, named] of Object.entries(stage.files)) {
      files[field] = []
      for (const path of [named].flat()) {
        const { digest: hash } = await digest(path, `stage ${stage.id}: ${field}`)
        files[field].push({ digest: hash, extension: extname(path).slice(1).toLowerCase() })
      }
    }
    const code = await codeOf(stage, workspace.root)
    for (const warning of code.warnings) warnings.add(warning)
    owns.set(stage.id, { files, code })
  }
  // Late, because it may download: everything that can be wrong with files and code is known by then.
  const bases = await readBases(
    workspace,
    pipeline.sources,
    sourcesOf(pipeline, selected),
    sources,
    ({ id, path }) => digest(path, `source ${id}: path`),
    { download, remember }
  )
  const settled = await settle(pipeline, bases.sources)
  const parts = new Map(settled.pipeline.stages.map((stage) => [stage.id, partsOf(stage, owns.get(stage.id) as Own)]))
  return { ...bases, pipeline: settled.pipeline, parts, warnings: [...warnings, ...bases.warnings, ...settled.warnings] }
}

type Own = Pick<FingerprintInput, "files" | "code">

const partsOf = (stage: SettledStage, own: Own): Omit<FingerprintInput, "inputs"> => ({
  ...own,
  kind: stage.kind.kind,
  version: stage.kind.version,
  config: stage.encoded,
  leftOut: [...(stage.kind.executionOnly ?? []), ...Object.keys(stage.files), ...openFields(stage)],
  facts: stage.facts,
  outputs: stage.outputs
})

/** Ids of the sources that these stages and what they need read. */
const sourcesOf = ({ stages, sources }: ResolvedPipeline, selected: ReadonlySet<string>): ReadonlySet<string> => {
  const needed = withNeeds(stages, selected)
  const read = new Set(stages.filter(({ id }) => needed.has(id)).flatMap(({ inputs }) => Object.values(inputs).map((ref) => ref.stage)))
  return new Set(sources.map(({ id }) => id).filter((id) => read.has(id)))
}

const codeOf = async ({ kind }: ResolvedStage, root: string) => {
  if (kind.module === undefined) return { modules: {}, packages: {}, warnings: [] }
  // The parser is loaded only where a user's own stage is to be keyed.
  const { moduleGraph } = await import("./moduleGraph.ts")
  return moduleGraph(kind.module, root, moduleReader)
}
