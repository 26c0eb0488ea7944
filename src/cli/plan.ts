// `anneal plan <pipeline>`: what a run would do with each stage, and why. Writes nothing.
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type { Decision, PlannedStage } from "#src/domain/RunEvent.ts"
import { short } from "#src/report/format.ts"
import { planSummary } from "#src/report/lines.ts"
import { textTable } from "#src/report/table.ts"
import type { Theme } from "#src/report/Theme.ts"
import { handler } from "./command.ts"
import { openWorkspace } from "./context.ts"
import * as flags from "./flags.ts"
import { note, print, printJson, themeFor } from "./output.ts"

const glyphs: Record<Decision, "reused" | "running" | "waiting"> = { reuse: "reused", run: "running", maybe: "waiting" }
const colours = { reuse: "cyan", run: "yellow", maybe: "dim" } as const

/** The table that `plan` and `run --dry` print. */
export const planText = (theme: Theme, pipeline: string, plan: readonly PlannedStage[], wide: boolean): string =>
  [
    `${theme.paint("bold", pipeline)}  ${planSummary(theme, plan)}`,
    "",
    textTable({
      header: ["", "stage", "decision", "key", "needs", "why"],
      rows: plan.map((stage) => [
        theme.paint(colours[stage.decision], theme.glyph[glyphs[stage.decision]]),
        stage.id,
        theme.paint(colours[stage.decision], stage.decision),
        short(stage.key, wide ? 64 : 4),
        stage.needs.length === 0 ? "-" : stage.needs.join(" "),
        stage.reason?.text ?? ""
      ])
    })
  ].join("\n")

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
    json: flags.json,
    wide: flags.wide,
    ascii: flags.ascii,
    artifacts: flags.artifacts
  },
  handler(async (input) => {
    const { planPipeline } = await import("./planning.ts")
    const { set, only, from, force, stages: targets } = input
    const { pipeline, plan, warnings } = await planPipeline(openWorkspace(input.artifacts), input.pipeline, {
      set,
      only,
      from,
      force,
      targets
    })
    for (const warning of warnings) note(`! ${warning}`)
    if (input.json) return printJson({ pipeline: pipeline.id, stages: plan })
    if (input.mermaid) return print(mermaid(plan))
    print(planText(themeFor(process.stdout, input.ascii), pipeline.id, plan, input.wide))
  })
).pipe(
  Command.withDescription("What a run would do with each stage, and why. Writes nothing."),
  Command.withExamples([
    { command: "anneal plan quickstart", description: "reuse, run or maybe, with the reason" },
    { command: "anneal plan quickstart --set train.learningRate=1e-4 --json", description: "with a change, for scripts" }
  ])
)
