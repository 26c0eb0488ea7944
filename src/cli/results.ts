// What a finished run leaves on stdout: the model beside its base, sampled answers, what was registered, and what to type next.
import { relative } from "node:path"
import type { RunView } from "#src/domain/RunView.ts"
import { short } from "#src/report/format.ts"
import type { Theme } from "#src/report/Theme.ts"
import { objectPath } from "#src/store/Objects.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { comparison, sampledAnswers, scoresOf } from "./scores.ts"

interface Registered {
  readonly name: string
  readonly version: number
  readonly path: string
}

/** Models that the run registered, or that it would have: a reused register stage says its version in its summary only. */
const registered = (workspace: WorkspacePaths, view: RunView): readonly Registered[] =>
  view.registered.map(({ name, version, digest }) => ({ name, version, path: relative(process.cwd(), objectPath(workspace, digest)) }))

const outputs = (theme: Theme, workspace: WorkspacePaths, view: RunView): readonly string[] => {
  const needed = new Set(view.stages.flatMap((stage) => stage.needs))
  return view.stages
    .filter((stage) => !needed.has(stage.id))
    .flatMap((stage) =>
      stage.outputs.map(
        (output) =>
          `${stage.id}.${output.name} ${theme.arrow} ${relative(process.cwd(), objectPath(workspace, output.digest))}  (${output.kind} ${short(output.digest)})`
      )
    )
}

const nextCommands = (view: RunView): readonly string[] => {
  const model = view.registered[0]
  // The run that the stages which ran were compared with.
  const before = view.stages.map((stage) => stage.reason?.run).find((run) => run !== undefined && run !== view.run)
  const allReused = view.stages.every((stage) => stage.state === "reused")
  return [
    `anneal show ${view.run}`,
    ...(before === undefined ? [] : [`anneal compare ${before} ${view.run}`]),
    ...(model === undefined ? [] : [`anneal generate ${model.name}@${model.version} --prompt "..."`]),
    ...(before === undefined && !allReused ? [`anneal run ${view.pipeline}   # again: everything is reused`] : [])
  ]
}

export const resultLines = (theme: Theme, workspace: WorkspacePaths, view: RunView): readonly string[] => [
  ...[...scoresOf(workspace, view)].flatMap(([stage, scores]) => [
    "",
    theme.paint("bold", `${stage}: the base and the model on the same ${scores.rows} rows`),
    comparison(theme, scores),
    ...sampledAnswers(theme, scores, false)
  ]),
  "",
  ...registered(workspace, view).map(({ name, version, path }) => `registered ${name}@${version} ${theme.arrow} ${path}`),
  ...outputs(theme, workspace, view),
  "",
  "next:",
  ...nextCommands(view).map((command) => `  ${command}`)
]
