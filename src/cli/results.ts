// What a finished run leaves on stdout: the model beside its base, sampled answers, what was registered, and what to type next.
import { relative } from "node:path"
import type { RunView } from "#src/domain/RunView.ts"
import { short } from "#src/report/format.ts"
import type { Theme } from "#src/report/Theme.ts"
import { objectPath } from "#src/store/Objects.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { columnsOf } from "./output.ts"
import { comparison, sampledAnswers, scoresOf } from "./scores.ts"

const path = (workspace: WorkspacePaths, digest: string): string => relative(process.cwd(), objectPath(workspace, digest))

/** Registered versions, then the other outputs that no stage of the run took. */
const outputs = (theme: Theme, workspace: WorkspacePaths, view: RunView): readonly string[] => {
  const needed = new Set(view.stages.flatMap((stage) => stage.needs))
  const named = new Set(view.registered.map((model) => model.digest))
  const last = view.stages
    .filter((stage) => !needed.has(stage.id))
    .flatMap((stage) => stage.outputs.map((output) => ({ ...output, title: `${stage.id}.${output.name}` })))
    .filter((output) => !named.has(output.digest))
  return [
    ...view.registered.map(({ name, version, digest }) => `registered ${name}@${version} ${theme.arrow} ${path(workspace, digest)}`),
    ...last.map(({ title, kind, digest }) => `${title} ${theme.arrow} ${path(workspace, digest)}  (${kind} ${short(digest)})`)
  ]
}

const nextCommands = (view: RunView, again: string): readonly string[] => {
  const model = view.registered[0]
  // The run that the stages which ran were compared with.
  const before = view.stages.map((stage) => stage.reason?.run).find((run) => run !== undefined && run !== view.run)
  const allReused = view.stages.every((stage) => stage.state === "reused")
  return [
    `anneal show ${view.run}`,
    ...(before === undefined ? [] : [`anneal compare ${before} ${view.run}`]),
    ...(model === undefined ? [] : [`anneal generate ${model.name}@${model.version} --prompt "..."`]),
    ...(before === undefined && !allReused ? [`${again}   # again: everything is reused`] : [])
  ]
}

/** @param again the command line of this run */
export const resultLines = (theme: Theme, workspace: WorkspacePaths, view: RunView, again: string): readonly string[] => [
  ...[...scoresOf(workspace, view)].flatMap(([stage, scores]) => [
    "",
    theme.paint("bold", `${stage}: the base and the model on the same ${scores.rows} rows`),
    comparison(theme, scores),
    ...sampledAnswers(theme, scores, columnsOf(process.stdout))
  ]),
  "",
  ...outputs(theme, workspace, view),
  "",
  "next:",
  ...nextCommands(view, again).map((command) => `  ${command}`)
]
