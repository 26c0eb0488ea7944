// `anneal plan <pipeline>`: what a run would do with each stage, and why. Writes nothing.
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { UsageError } from "#src/domain/Errors.ts"
import { totalEstimate } from "#src/domain/estimate.ts"
import type { Decision, PlannedStage } from "#src/domain/RunEvent.ts"
import { duration, short } from "#src/report/format.ts"
import { planSummary } from "#src/report/lines.ts"
import { textTable } from "#src/report/table.ts"
import type { Theme } from "#src/report/Theme.ts"
import { autoLines } from "#src/report/auto.ts"
import { handler } from "./command.ts"
import { openWorkspace } from "./context.ts"
import * as flags from "./flags.ts"
import { note, print, printJson, themeFor } from "./output.ts"

const glyphs: Record<Decision, "reused" | "running" | "waiting"> = { reuse: "reused", run: "running", maybe: "waiting" }
const colours = { reuse: "cyan", run: "yellow", maybe: "dim" } as const

/** The table that `plan` and `run --dry` print. */
export const planText = (theme: Theme, pipeline: string, plan: readonly PlannedStage[], wide: boolean): string => {
  const timed = plan.some(({ estimate }) => estimate !== undefined)
  return [
    `${theme.paint("bold", pipeline)}  ${planSummary(theme, plan)}`,
    ...autoLines(plan),
    "",
    textTable({
      header: ["", "stage", "decision", "key", "needs", ...(timed ? ["time"] : []), "why"],
      rows: plan.map((stage) => [
        theme.paint(colours[stage.decision], theme.glyph[glyphs[stage.decision]]),
        stage.id,
        theme.paint(colours[stage.decision], stage.decision),
        short(stage.key, wide ? 64 : 4),
        stage.needs.length === 0 ? "-" : stage.needs.join(" "),
        ...(timed ? [stage.estimate === undefined ? "-" : `~${duration(stage.estimate.seconds * 1000)}`] : []),
        stage.reason?.text ?? ""
      ])
    })
  ].join("\n")
}

/** The stages as a Mermaid flowchart: what runs is drawn in bold lines. */
const mermaid = (plan: readonly PlannedStage[]): string =>
  [
    "flowchart TD",
    ...plan.map((stage) => `  ${stage.id}["${stage.id}: ${stage.decision}"]:::${stage.decision}`),
    ...plan.flatMap((stage) =>
      stage.needs.filter((need) => plan.some((one) => one.id === need)).map((need) => `  ${need} --> ${stage.id}`)
    ),
    "  classDef run stroke-width:3px",
    "  classDef maybe stroke-dasharray:4"
  ].join("\n")

export const choiceFlags = {
  set: flags.set,
  only: flags.stages("only", "exactly these stages; what they need must be stored"),
  from: flags.maybe(Flag.String("from").pipe(Flag.withMetavar("stage"), Flag.withDescription("run this stage and all below it again"))),
  force: flags.stages("force", "run this stage even where its result is stored; repeatable")
}

export const planCommand = Command.make(
  "plan",
  {
    pipeline: flags.pipeline,
    stages: flags.targets,
    ...choiceFlags,
    mermaid: Flag.Boolean("mermaid").pipe(Flag.withDescription("print a Mermaid flowchart"), Flag.withDefault(false)),
    memory: Flag.Boolean("memory").pipe(
      Flag.withDescription("also forecast the memory of each train stage, beside its limit"),
      Flag.withDefault(false)
    ),
    json: flags.json,
    wide: flags.wide,
    ascii: flags.ascii,
    artifacts: flags.artifacts
  },
  handler(async (input) => {
    const { planPipeline } = await import("./planning.ts")
    if (input.memory && input.mermaid)
      throw new UsageError({ message: "--memory and --mermaid do not go together", hint: "a chart has no figures: leave one of them out" })
    const { set, only, from, force, stages: targets } = input
    const workspace = openWorkspace(input.artifacts)
    const prepared = await planPipeline(workspace, input.pipeline, { set, only, from, force, targets })
    const { pipeline, plan, warnings } = prepared
    for (const warning of warnings) note(`! ${warning}`)
    // Builds the graphs of each training: loaded only where it is asked for.
    const forecasts = input.memory ? await import("./planMemory.ts") : undefined
    const memory = await forecasts?.memoryOf(workspace, prepared)
    if (input.json) {
      const estimate = totalEstimate(plan)
      const more = { ...(estimate === undefined ? {} : { estimate }), ...(memory === undefined ? {} : { memory }) }
      return printJson({ pipeline: pipeline.id, stages: plan, ...more })
    }
    if (input.mermaid) return print(mermaid(plan))
    const theme = themeFor(process.stdout, input.ascii)
    print(planText(theme, pipeline.id, plan, input.wide))
    if (forecasts !== undefined && memory !== undefined) print(`\n${await forecasts.memoryTexts(theme, memory)}`)
  })
).pipe(
  Command.withDescription("What a run would do with each stage, and why. Writes nothing."),
  Command.withExamples([
    { command: "anneal plan quickstart", description: "reuse, run or maybe, with the reason" },
    { command: "anneal plan quickstart --memory", description: "and what training will take" },
    { command: "anneal plan quickstart --set train.learningRate=1e-4 --json", description: "with a change, for scripts" }
  ])
)
