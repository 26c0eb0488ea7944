// `anneal show <run>`: one run with its stages, figures, results, what was set, what was unusual, and how the loss went.
import * as Command from "effect/cli/Command"
import type { RunView, StageView } from "#src/domain/RunView.ts"
import { bytes, cut, duration, inline, number, short } from "#src/report/format.ts"
import { textTable } from "#src/report/table.ts"
import { stateColour, type Theme } from "#src/report/Theme.ts"
import { autoLines } from "#src/report/auto.ts"
import { handler } from "./command.ts"
import { openRun, openWorkspace, outcomeOf } from "./context.ts"
import * as flags from "./flags.ts"
import { print, printJson, themeFor } from "./output.ts"
import { runJson } from "./stageJson.ts"
import { alertLines, type Logs, logsOf, lossTable } from "./trainingLogs.ts"

const figures = (stage: StageView): string =>
  Object.entries(stage.metrics)
    .map(([name, value]) => `${name} ${number(value)}`)
    .join("  ")

const outputs = (stage: StageView, wide: boolean): string =>
  stage.outputs.map((output) => `${output.name} ${short(output.digest, wide ? 64 : 8)} (${bytes(output.bytes)})`).join(", ")

const section = (lines: readonly string[]): readonly string[] => (lines.length === 0 ? [] : ["", ...lines])

/** The run's first lines: name, pipeline, outcome, time, and what differs from the pipeline file. */
const heading = (theme: Theme, view: RunView): readonly string[] => {
  const took = view.startedAt === null || view.endedAt === null ? "" : duration(Date.parse(view.endedAt) - Date.parse(view.startedAt))
  const outcome = outcomeOf(view)
  const state = theme.paint(stateColour[outcome === "gate" || outcome === "crashed" ? "failed" : outcome], outcome)
  return [
    [
      theme.paint("bold", view.run),
      view.pipeline,
      state,
      took,
      view.startedAt ?? "",
      view.git === null ? "" : `git ${view.git.slice(0, 15)}`
    ]
      .filter((part) => part !== "")
      .join("  "),
    ...autoLines(view.stages),
    ...Object.entries(view.overrides).map(([path, value]) => `  set ${path} = ${inline(value)}`),
    ...view.registered.map((model) => `  registered ${model.name}@${model.version}`)
  ]
}

const show = (theme: Theme, view: RunView, logs: Logs, wide: boolean): string =>
  [
    ...heading(theme, view),
    "",
    textTable({
      header: ["", "stage", "state", "key", "time", "outputs", "result"],
      numeric: [4],
      rows: view.stages.map((stage) => [
        theme.paint(stateColour[stage.state], theme.glyph[stage.state]),
        stage.id,
        stage.state === "reused" && stage.producedBy !== null ? `reused from ${stage.producedBy}` : stage.state,
        short(stage.key, wide ? 64 : 4),
        duration(stage.computeMs + stage.writeMs),
        outputs(stage, wide),
        wide ? (stage.summary ?? figures(stage)) : cut(stage.summary ?? figures(stage), 60)
      ])
    }),
    ...section(view.stages.flatMap((stage) => alertLines(theme, stage, logs.get(stage.id)))),
    ...[...logs].flatMap(([stage, log]) => ["", theme.paint("bold", `${stage}: loss by step`), textTable(lossTable(log))]),
    ...view.stages.flatMap((stage) => (stage.error === null ? [] : ["", `${stage.id}: ${stage.error.message}`]))
  ].join("\n")

export const showCommand = Command.make(
  "show",
  { run: flags.run, json: flags.json, wide: flags.wide, ascii: flags.ascii, artifacts: flags.artifacts },
  handler(async ({ run, json, wide, ascii, artifacts }) => {
    const workspace = openWorkspace(artifacts)
    const view = await openRun(workspace, run)
    if (json) return printJson(runJson(view))
    print(show(themeFor(process.stdout, ascii), view, await logsOf(workspace, view), wide))
  })
).pipe(
  Command.withDescription("One run: outcome, stages, keys, outputs, figures, alerts, and the loss of a few steps."),
  Command.withExamples([
    { command: "anneal show latest", description: "the run that started last" },
    { command: "anneal show calm-ibis --json", description: "for scripts" }
  ])
)
