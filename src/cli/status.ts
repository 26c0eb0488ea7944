// `anneal status`: which pipelines are up to date with their files and code, and which have something to run.
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type { PlannedStage } from "#src/domain/RunEvent.ts"
import { plural } from "#src/report/format.ts"
import { stateColour, type Theme } from "#src/report/Theme.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { asError, handler } from "./command.ts"
import { openWorkspace } from "./context.ts"
import * as flags from "./flags.ts"
import { findPipeline, pipelineNames } from "./load.ts"
import { print, printJson, themeFor } from "./output.ts"

interface Status {
  readonly pipeline: string
  /** "broken": the file cannot be planned, and `error` says why. */
  readonly state: "fresh" | "stale" | "broken"
  readonly stages: readonly PlannedStage[]
  readonly error: string | null
}

const statusOf = async (workspace: WorkspacePaths, name: string): Promise<Status> => {
  const { planPipeline } = await import("./planning.ts")
  try {
    const { plan } = await planPipeline(workspace, name, {})
    return { pipeline: name, state: plan.every((stage) => stage.decision === "reuse") ? "fresh" : "stale", stages: plan, error: null }
  } catch (thrown) {
    return { pipeline: name, state: "broken", stages: [], error: asError(thrown).message.split("\n")[0] ?? "" }
  }
}

const line = (theme: Theme, { pipeline, state, stages, error }: Status): string => {
  const looks = ({ fresh: "done", stale: "waiting", broken: "failed" } as const)[state]
  const stale = stages.filter((stage) => stage.decision !== "reuse")
  const first = stale[0]
  const detail =
    error ??
    (first === undefined
      ? plural(stages.length, "stage")
      : `${stale.length} of ${plural(stages.length, "stage")}, first ${first.id}: ${first.reason?.text ?? first.decision}`)
  return `${theme.paint(stateColour[looks], theme.glyph[looks])} ${pipeline.padEnd(14)} ${state.padEnd(6)} ${detail}`
}

export const statusCommand = Command.make(
  "status",
  {
    pipelines: Argument.String("pipeline").pipe(Argument.withDescription("only these; default: all"), Argument.variadic()),
    check: Flag.Boolean("check").pipe(Flag.withDescription("exit with 3 when something is stale"), Flag.withDefault(false)),
    json: flags.json,
    ascii: flags.ascii,
    artifacts: flags.artifacts
  },
  handler(async ({ pipelines, check, json, ascii, artifacts }) => {
    const workspace = openWorkspace(artifacts)
    // A name that is no pipeline's is a wrong command line; what is wrong in a file is its status.
    for (const name of pipelines) findPipeline(workspace.pipelines, name)
    const found: Status[] = []
    for (const name of pipelines.length > 0 ? pipelines : pipelineNames(workspace.pipelines)) found.push(await statusOf(workspace, name))
    if (json) printJson({ pipelines: found })
    else if (found.length === 0) print(`no pipeline in ${workspace.pipelines}`)
    else for (const one of found) print(line(themeFor(process.stdout, ascii), one))
    return check && found.some((one) => one.state !== "fresh") ? 3 : 0
  })
).pipe(
  Command.withDescription("Which pipelines are up to date, and which have something to run."),
  Command.withExamples([
    { command: "anneal status", description: "all pipelines of this workspace" },
    { command: "anneal status quickstart --check", description: "exit 3 when it is stale" }
  ])
)
