// `anneal why <pipeline or run> <stage>`: the fields of the stage's key that differ, old -> new, and what they are compared with.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { UsageError } from "#src/domain/Errors.ts"
import { hintFor } from "#src/domain/nearest.ts"
import type { ManifestField, Reason } from "#src/domain/RunEvent.ts"
import type { StageView } from "#src/domain/RunView.ts"
import { changeText, diffManifests, type FieldChange } from "#src/engine/explain.ts"
import { short } from "#src/report/format.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { autoText } from "#src/report/auto.ts"
import { handler } from "./command.ts"
import { askCatalog, isRun, openRun, openWorkspace } from "./context.ts"
import * as flags from "./flags.ts"
import { changedOrigins, type OriginChange, originsIn, originText } from "./origins.ts"
import { note, print, printJson } from "./output.ts"

interface Explained {
  /** Of a plan. */
  readonly pipeline?: string
  /** Of a run. */
  readonly run?: string
  readonly stage: string
  /** What the plan decides, or how the stage ended in the run. */
  readonly decision: string
  readonly reason: Reason | null
  readonly key: string | null
  /** What the plan chose for fields that were left to it. */
  readonly auto: StageView["auto"]
  /** The run compared with; null where there is nothing to compare with. */
  readonly against: string | null
  readonly changes: readonly FieldChange[]
  /** Base models it reads that come from elsewhere than in the run compared with. */
  readonly sources: readonly OriginChange[]
}

/** The stage's key fields in a run: its own where it ran, those of the stored result where it was reused. */
const manifestIn = async (workspace: WorkspacePaths, run: string, stage: string): Promise<readonly ManifestField[]> => {
  const view = await openRun(workspace, run)
  const found = view.stages.find((one) => one.id === stage)
  if (found === undefined) {
    throw new UsageError({
      message: `run ${view.run} has no stage "${stage}"`,
      hint: hintFor(
        stage,
        view.stages.map((one) => one.id)
      )
    })
  }
  if (found.manifest.length > 0) return found.manifest
  const entry = (await askCatalog(workspace, (catalog) => catalog.entries())).find((one) => one.key === found.key)
  if (entry === undefined)
    throw new UsageError({ message: `run ${view.run} has no key of ${stage}: it did not get there`, hint: `anneal show ${view.run}` })
  return entry.manifest
}

const explainPlan = async (workspace: WorkspacePaths, input: WhyInput): Promise<Explained> => {
  const { planPipeline } = await import("./planning.ts")
  const { pipeline, stages, origins, warnings } = await planPipeline(workspace, input.subject, { set: input.set })
  for (const warning of warnings) note(`! ${warning}`)
  const found = stages.find((one) => one.stage.id === input.stage)
  if (found === undefined) {
    const ids = stages.map((one) => one.stage.id)
    throw new UsageError({ message: `${pipeline.id} has no stage "${input.stage}"`, hint: hintFor(input.stage, ids) })
  }
  const { planned, manifest } = found
  const { decision, reason, key, auto = {} } = planned
  const changes =
    input.against === undefined ? found.changes : diffManifests(await manifestIn(workspace, input.against, input.stage), manifest)
  const against = input.against ?? found.against?.run ?? null
  const reads = (source: string): boolean => Object.values(found.stage.inputs).some((ref) => ref.stage === source)
  const sources = against === null ? [] : changedOrigins(await originsIn(workspace, against), origins, reads)
  return { pipeline: pipeline.id, stage: input.stage, decision, reason, key, auto, against, changes, sources }
}

const explainRun = async (workspace: WorkspacePaths, input: WhyInput): Promise<Explained> => {
  const view = await openRun(workspace, input.subject)
  const manifest = await manifestIn(workspace, view.run, input.stage)
  const found = view.stages.find((one) => one.id === input.stage)
  const reason = found?.reason ?? null
  const against = input.against ?? reason?.run ?? found?.producedBy ?? null
  const before = against === null ? undefined : await manifestIn(workspace, against, input.stage)
  const now = await originsIn(workspace, view.run)
  const digests = new Set(manifest.filter(({ path }) => path.startsWith("input.")).map(({ value }) => value))
  const reads = (source: string): boolean => digests.has((now[source] as { readonly digest?: string } | undefined)?.digest ?? null)
  return {
    run: view.run,
    stage: input.stage,
    decision: found?.state ?? "",
    reason,
    auto: found?.auto ?? {},
    key: found?.key ?? null,
    against,
    changes: before === undefined ? [] : diffManifests(before, manifest),
    sources: against === null ? [] : changedOrigins(await originsIn(workspace, against), now, reads)
  }
}

const text = ({ stage, decision, reason, key, auto, against, changes, sources }: Explained): string =>
  [
    `${stage}: ${decision}${reason === null ? "" : `, ${reason.text}`}  (key ${short(key, 8)})`,
    ...(Object.keys(auto).length === 0 ? [] : [`  ${autoText(auto)}`]),
    ...(against === null
      ? ["  nothing to compare with"]
      : [`  compared with run ${against}:${changes.length === 0 ? " every field is the same" : ""}`]),
    ...changes.map((change) => `  ${changeText(stage, change)}`),
    ...sources.map((change) => `  ${originText(change)}`)
  ].join("\n")

interface WhyInput {
  readonly subject: string
  readonly stage: string
  readonly set: readonly string[]
  readonly against: string | undefined
}

export const whyCommand = Command.make(
  "why",
  {
    subject: Argument.String("pipeline-or-run").pipe(Argument.withDescription("a pipeline: why a stage would run; a run: why it ran")),
    stage: Argument.String("stage"),
    set: flags.set,
    against: flags.maybe(Flag.String("against").pipe(Flag.withMetavar("run"), Flag.withDescription("compare with this run"))),
    json: flags.json,
    artifacts: flags.artifacts
  },
  handler(async (input) => {
    const workspace = openWorkspace(input.artifacts)
    const ofRun = input.subject === "latest" || isRun(workspace, input.subject)
    if (ofRun && input.set.length > 0)
      throw new UsageError({
        message: `--set goes with a pipeline, but ${input.subject} is a run`,
        hint: `anneal why <pipeline> ${input.stage} --set ${input.set[0]}`
      })
    const explained = await (ofRun ? explainRun(workspace, input) : explainPlan(workspace, input))
    if (!input.json) return print(text(explained))
    const changes = explained.changes.map(({ path, from, to }) => ({ path, from: from ?? null, to: to ?? null }))
    printJson({ ...explained, changes })
  })
).pipe(
  Command.withDescription("Why a stage runs or ran: the fields that differ, old -> new."),
  Command.withExamples([
    { command: "anneal why quickstart train", description: "what would make it run now" },
    { command: "anneal why latest train", description: "what made it run" }
  ])
)
