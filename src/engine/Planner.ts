// What happens to a stage: reuse, run, or maybe (what is still to come decides: an upstream result, a download). Pure: `plan` prints
// these decisions, a run carries them out with the same functions.
import { UsageError } from "#src/domain/Errors.ts"
import { hintFor } from "#src/domain/nearest.ts"
import type { Decision, ManifestField, Reason } from "#src/domain/RunEvent.ts"
import type { Entry } from "#src/store/records.ts"
import { diffManifests, forced, lost, neverRan, notDownloaded, reasonOf, upstream } from "./explain.ts"
import { withDependents, withNeeds } from "./order.ts"
import type { ResolvedPipeline } from "./resolve.ts"

/** What a run is told beyond the pipeline. */
export interface Choice {
  /** Stages that run even where a result is there. */
  readonly force?: readonly string[] | undefined
  /** This stage and all that hang below it are forced. */
  readonly from?: string | undefined
  /** Exactly these stages; what they need must be there. */
  readonly only?: readonly string[] | undefined
  /** These stages and what they need. */
  readonly targets?: readonly string[] | undefined
}

export interface Chosen {
  readonly selected: ReadonlySet<string>
  readonly forced: ReadonlySet<string>
}

/** @throws UsageError for an id that is no stage */
export const choose = (pipeline: ResolvedPipeline, choice: Choice): Chosen => {
  const ids = pipeline.stages.map((stage) => stage.id)
  const from = choice.from === undefined ? [] : [choice.from]
  for (const id of [...(choice.force ?? []), ...from, ...(choice.only ?? []), ...(choice.targets ?? [])]) {
    if (!ids.includes(id)) throw new UsageError({ message: `${pipeline.id} has no stage ${id}`, hint: hintFor(id, ids) })
  }
  const targets = choice.targets ?? []
  const needed = targets.length === 0 ? new Set(ids) : withNeeds(pipeline.stages, targets)
  const only = choice.only ?? []
  return {
    selected: only.length === 0 ? needed : new Set(only),
    forced: new Set([...(choice.force ?? []), ...withDependents(pipeline.stages, from)])
  }
}

/** What the store has under a key. */
export interface Found {
  readonly entry: Entry
  /** The first output that is not as it should be. */
  readonly lost?: { readonly output: string; readonly state: "missing" | "corrupt" }
}

export interface Known {
  readonly stage: string
  readonly forced: boolean
  /** Stages it needs whose results are still to come. */
  readonly pending: readonly string[]
  /** Base models it reads that are not downloaded yet. */
  readonly absent?: readonly string[]
  /** Of the fields known so far: without the inputs that are pending. */
  readonly manifest: readonly ManifestField[]
  /** Look-up of the key; undefined also while the key is unknown. */
  readonly found: Found | undefined
  /** Whether any result with this stage's own part (config, code) was ever stored. */
  readonly knowsOwn: boolean
  /** The last success of this stage in this pipeline. */
  readonly last: Entry | undefined
}

export const decide = (known: Known): { readonly decision: Decision; readonly reason: Reason | null } => {
  if (known.forced) return { decision: "run", reason: forced() }
  const absent = known.absent ?? []
  if (absent.length > 0 && known.knowsOwn) return { decision: "maybe", reason: notDownloaded(absent) }
  if (known.pending.length > 0 && known.knowsOwn) return { decision: "maybe", reason: upstream(known.pending) }
  if (known.found === undefined) return { decision: "run", reason: againstLast(known) }
  const { lost: bad, entry } = known.found
  if (bad === undefined) return { decision: "reuse", reason: null }
  return { decision: "run", reason: lost(bad.state, bad.output, entry.run) }
}

const againstLast = ({ stage, last, manifest, pending, absent = [] }: Known): Reason => {
  if (last === undefined) return neverRan()
  // Inputs still to come are not differences: they are left out on both sides.
  const known = new Set(manifest.map((field) => field.path))
  const before =
    pending.length + absent.length === 0
      ? last.manifest
      : last.manifest.filter((field) => !field.path.startsWith("input.") || known.has(field.path))
  return reasonOf(stage, diffManifests(before, manifest), last.run)
}
