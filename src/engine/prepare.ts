// From a pipeline to its plan: digests of what comes from outside, look-ups, decisions. plan, why, status and run share this path.
import * as Effect from "effect/Effect"
import { type AnnealError, toAnnealError, UsageError } from "#src/domain/Errors.ts"
import { estimateOf, type PastTime } from "#src/domain/estimate.ts"
import type { PipelineDef } from "#src/domain/Pipeline.ts"
import type { ManifestField, PlannedStage } from "#src/domain/RunEvent.ts"
import { Catalog, type Snapshot } from "#src/store/Catalog.ts"
import type { Digest } from "#src/store/digest.ts"
import { type Entry, ownPart } from "#src/store/records.ts"
import { openSources } from "#src/store/Sources.ts"
import { Workspace, type WorkspacePaths } from "#src/store/Workspace.ts"
import type { BaseFolder, Downloading, Origin } from "./bases.ts"

import { diffManifests, type FieldChange } from "./explain.ts"
import { type FingerprintInput, keyOf, manifestOf } from "./Fingerprint.ts"
import { lookUp } from "./lookUp.ts"
import { type Outside, readOutside } from "./outside.ts"
import { choose, type Choice, type Chosen, decide } from "./Planner.ts"
import { type ResolvedStage, resolve } from "./resolve.ts"
import { openFields, type SettledPipeline, type SettledStage } from "./settle.ts"

export interface PrepareOptions extends Choice {
  /** "<stage or source id>.<path>=<value>" */
  readonly set?: readonly string[] | undefined
  /** A run may note what it learns about files for the next command; a plan writes nothing. Default false. */
  readonly remember?: boolean | undefined
  /** How a run brings base models here from the hub. */
  readonly download?: Downloading | undefined
}

export interface PreparedStage {
  readonly stage: SettledStage
  readonly planned: PlannedStage
  /** Not selected by only/targets: neither planned nor run, but its result may be taken. */
  readonly selected: boolean
  readonly forced: boolean
  /** All of the key but its inputs. */
  readonly parts: Omit<FingerprintInput, "inputs">
  /** The key's fields; what is still to come is missing. */
  readonly manifest: readonly ManifestField[]
  /** The result that is reused. */
  readonly reuse: Entry | undefined
  /** What the reason compares with: the last success of this stage in this pipeline, else the nearest result of its kind. */
  readonly against: Entry | undefined
  /** Fields that differ from `against`, those still to come left out. */
  readonly changes: readonly FieldChange[]
}

export interface Prepared {
  readonly pipeline: SettledPipeline
  readonly stages: readonly PreparedStage[]
  /** The contract of `plan --json`: the selected stages in order. */
  readonly plan: readonly PlannedStage[]
  /** By source id; a base model that is not downloaded yet is missing. */
  readonly sources: Readonly<Record<string, BaseFolder>>
  /** Of every source. */
  readonly origins: Readonly<Record<string, Origin>>
  readonly warnings: readonly string[]
}

/** Errors: UsageError and DefinitionError for the pipeline and its options, EnvironmentError for the store, those of the hub. */
export const prepare = Effect.fn("prepare")(function* (
  definition: PipelineDef,
  options: PrepareOptions = {}
): Effect.fn.Return<Prepared, AnnealError, Workspace | Catalog> {
  const workspace = yield* Workspace
  const catalog = yield* Catalog
  const attempt = <A>(work: () => A | Promise<A>) =>
    Effect.tryPromise({ try: async () => work(), catch: (u) => toAnnealError(u, `pipeline ${definition.id}`) })
  const outside = yield* attempt(async () => {
    const pipeline = resolve(definition, options.set)
    const chosen = choose(pipeline, options)
    const files = openSources(workspace)
    const found = await readOutside(workspace, pipeline, chosen, files, options)
    if (options.remember === true) files.save()
    return { chosen, ...found }
  })
  return yield* catalog.read((snapshot) => planStages(workspace, snapshot, outside, options.remember === true))
})

const planStages = async (
  workspace: WorkspacePaths,
  snapshot: Snapshot,
  { pipeline, chosen, sources, origins, parts, warnings }: Outside & { readonly chosen: Chosen },
  remember: boolean
): Promise<Prepared> => {
  const stages: PreparedStage[] = []
  const results = new Map<string, Entry>()
  /** Stages whose result cannot be looked up before a download. */
  const unknown = new Set<string>()
  let past: readonly PastTime[] | undefined
  for (const stage of pipeline.stages) {
    const selected = chosen.selected.has(stage.id)
    const pending = stage.needs.filter((id) => !results.has(id))
    const absent = pipeline.sources.map(({ id }) => id).filter((id) => !(id in sources) && reads(stage, id))
    const waits = pending.length + absent.length > 0
    if (absent.length > 0 || pending.some((id) => unknown.has(id))) unknown.add(stage.id)
    if (selected)
      refuseAbsent(
        pending.find((id) => !chosen.selected.has(id) && !unknown.has(id)),
        stage.id
      )
    const own = parts.get(stage.id) as Omit<FingerprintInput, "inputs">
    const manifest = manifestOf({ ...own, inputs: inputDigests(stage, sources, results) })
    const key = waits ? null : keyOf(manifest)
    const found = key === null ? undefined : await lookUp(workspace, snapshot, key, remember)
    const forced = selected && chosen.forced.has(stage.id)
    const intact = !forced && found !== undefined && found.lost === undefined
    const last = intact ? undefined : await snapshot.last(pipeline.id, stage.id)
    const open = openFields(stage).map((field) => `config.${field}`)
    const ofKind = () => snapshot.ofKind(stage.kind.kind)
    // With a field of its own still open, any result of the kind may be the one.
    const knowsOwn = waits && (open.length > 0 ? (await ofKind()).length > 0 : await snapshot.knows(ownPart(manifest)))
    const { decision, reason } = decide({ stage: stage.id, forced, pending, absent, manifest, found, knowsOwn, last })
    const reuse = decision === "reuse" ? found?.entry : undefined
    if (reuse !== undefined) results.set(stage.id, reuse)
    const estimate = reuse === undefined ? estimateOf((past ??= await snapshot.times(pipeline.id)), stage.id) : undefined
    const against = reuse ?? last ?? nearestOf(await ofKind(), manifest)
    stages.push({
      stage,
      planned: {
        ...{ id: stage.id, kind: stage.kind.kind, needs: stage.needs, decision, reason, key },
        ...(Object.keys(stage.auto).length === 0 ? {} : { auto: stage.auto }),
        ...(estimate === undefined ? {} : { estimate })
      },
      selected,
      forced,
      parts: own,
      manifest,
      reuse,
      against,
      changes: against === undefined ? [] : changesAgainst(against, manifest, [...open, ...(waits ? ["input."] : [])])
    })
  }
  return { pipeline, stages, plan: stages.filter((stage) => stage.selected).map((stage) => stage.planned), sources, origins, warnings }
}

const reads = (stage: ResolvedStage, source: string): boolean => Object.values(stage.inputs).some((ref) => ref.stage === source)

const refuseAbsent = (needed: string | undefined, stage: string): void => {
  if (needed === undefined) return
  throw new UsageError({
    message: `${stage} needs the result of ${needed}, which is not there`,
    hint: `run ${needed} too: name it with --only, or leave --only out`
  })
}

/** Digests of a stage's inputs, as far as their producers' results are known. */
export const inputDigests = (
  stage: ResolvedStage,
  sources: Readonly<Record<string, Pick<Digest, "digest">>>,
  results: ReadonlyMap<string, Pick<Entry, "outputs">>
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(stage.inputs).flatMap(([name, ref]) => {
      const digest = sources[ref.stage]?.digest ?? results.get(ref.stage)?.outputs.find((output) => output.name === ref.output)?.digest
      return digest === undefined ? [] : [[name, digest] as const]
    })
  )

/** `toCome`: beginnings of the paths that are not known yet. */
const changesAgainst = (against: Entry, manifest: readonly ManifestField[], toCome: readonly string[]): readonly FieldChange[] =>
  diffManifests(against.manifest, manifest).filter(({ path, to }) => to !== undefined || !toCome.some((start) => path.startsWith(start)))

const nearestOf = (entries: readonly Entry[], manifest: readonly ManifestField[]): Entry | undefined =>
  entries
    .map((entry) => ({ entry, changes: diffManifests(entry.manifest, manifest).length }))
    .reduce<{ readonly entry: Entry; readonly changes: number } | undefined>(
      (best, next) => (best !== undefined && best.changes <= next.changes ? best : next),
      undefined
    )?.entry
