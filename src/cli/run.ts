// `anneal run <pipeline> [stage...]`: carries out what `plan` prints. Progress on stderr, results on stdout.
import { join } from "node:path"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { UsageError } from "#src/domain/Errors.ts"
import { hintFor } from "#src/domain/nearest.ts"
import { emptyRunView, reduceRun } from "#src/domain/RunView.ts"
import type { RunOptions, RunSummary } from "#src/engine/Executor.ts"
import { errorBlock } from "#src/report/errorBlock.ts"
import { commandAgain } from "./again.ts"
import { handler } from "./command.ts"
import { openWorkspace } from "./context.ts"
import { downloading } from "./download.ts"
import * as flags from "./flags.ts"
import { gitState } from "./git.ts"
import { chooseUi, note, print, themeFor, uiModes } from "./output.ts"
import { packageFolder } from "./package.ts"
import { choiceFlags, planText } from "./plan.ts"
import { reporterFor } from "./reporter.ts"
import { resultLines } from "./results.ts"
import { exitCodeOf, type StopSignal, withSignals } from "./signals.ts"

const uiOf = (flag: (typeof uiModes)[number] | undefined) => {
  const chosen = flag ?? process.env["ANNEAL_UI"] ?? "auto"
  const known = uiModes.find((mode) => mode === chosen)
  if (known === undefined) throw new UsageError({ message: `ANNEAL_UI is "${chosen}"`, hint: hintFor(chosen, uiModes) })
  return chooseUi(known, { env: process.env, isTTY: process.stderr.isTTY })
}

const runFlags = {
  pipeline: flags.pipeline,
  stages: flags.targets,
  ...choiceFlags,
  restart: flags.stages("restart", "drop this stage's checkpoint and begin anew; repeatable"),
  keepGoing: Flag.Boolean("keep-going").pipe(
    Flag.withDescription("after a failure, go on with stages that do not need it"),
    Flag.withDefault(false)
  ),
  name: flags.maybe(Flag.String("name").pipe(Flag.withDescription("name of the run; default two words"))),
  dry: Flag.Boolean("dry").pipe(Flag.withDescription("only print the plan"), Flag.withDefault(false)),
  ui: flags.maybe(Flag.Literals("ui", uiModes).pipe(Flag.withDescription("how progress is shown; default ANNEAL_UI, else auto"))),
  jobs: flags.maybe(Flag.Int("jobs").pipe(Flag.withDescription("stages at a time; default one a core"))),
  threads: flags.maybe(Flag.Int("threads").pipe(Flag.withDescription("threads of a stage's computation; default one a core"))),
  wide: flags.wide,
  ascii: flags.ascii,
  artifacts: flags.artifacts
}

const positive = (name: string, value: number | undefined): void => {
  if (value !== undefined && value < 1)
    throw new UsageError({ message: `--${name} ${value} is not 1 or more`, hint: `leave --${name} out for one a core` })
}

/** 0 where the run is done, else as ux: a failed stage's own code, or that of the signal that stopped it. */
const exitCode = (summary: RunSummary, signal: StopSignal | undefined): number =>
  summary.outcome === "stopped" && signal !== undefined ? exitCodeOf(signal) : summary.exitCode

export const runCommand = Command.make(
  "run",
  runFlags,
  handler(async (input) => {
    positive("jobs", input.jobs)
    positive("threads", input.threads)
    const { ui, warning } = uiOf(input.ui)
    if (warning !== undefined) note(`! ${warning}`)
    if (input.dry && input.ui === "json")
      throw new UsageError({ message: "--dry runs nothing that --ui json could report", hint: `anneal plan ${input.pipeline} --json` })
    const workspace = openWorkspace(input.artifacts)
    const theme = themeFor(process.stderr, input.ascii)
    const { set, only, from, force, stages: targets, dry } = input
    // Asked for while the plan is made: it takes as long as the plan does.
    const commit = gitState(workspace.root)
    const { planPipeline, execute } = await import("./planning.ts")
    const download = dry ? undefined : downloading(ui === "json" || ui === "quiet")
    const prepared = await planPipeline(workspace, input.pipeline, { set, only, from, force, targets, remember: !dry, download })
    for (const one of prepared.warnings) note(`! ${one}`)
    if (dry) return print(planText(themeFor(process.stdout, input.ascii), prepared.pipeline.id, prepared.plan, input.wide))

    const reporter = await reporterFor(ui, input.ascii, () => process.kill(process.pid, "SIGINT"))
    let view = emptyRunView
    let signal: StopSignal | undefined
    const { jobs, threads, keepGoing, restart, name } = input
    const listener: RunOptions["listener"] = (event) => {
      view = reduceRun(view, event)
      reporter.report(event, view)
    }
    const childEntry = join(packageFolder, "dist/stage-child.js")
    const git = await commit
    const { control, summary } = execute(workspace, prepared, { childEntry, jobs, threads, keepGoing, restart, name, git, listener })
    const stop = (received: StopSignal): void => {
      // The live view says it itself, and its key comes here too.
      if (ui === "plain") note(signal === undefined ? "stopping after this step; once more stops at once" : "stopping at once")
      signal ??= received
      control.stop()
    }
    const end = await withSignals(stop, () => summary).finally(() => reporter.close())

    if (end.error !== undefined && !view.stages.some((stage) => stage.error !== null)) {
      note(errorBlock(theme, end.run, end.error).join("\n"))
    }
    const again = commandAgain(process.argv.slice(2))
    if (end.outcome === "stopped") {
      note(`${theme.glyph.stopped} ${end.run} stopped: what was finished is kept, checkpoints are saved`)
      note(`  go on with: ${again}`)
    }
    if (end.outcome === "done" && (ui === "live" || ui === "plain")) {
      for (const line of resultLines(themeFor(process.stdout, input.ascii), workspace, view, again)) print(line)
    }
    return exitCode(end, signal)
  })
).pipe(
  Command.withDescription("Run a pipeline: what is stored is reused, everything else runs, each with its reason."),
  Command.withExamples([
    { command: "anneal run quickstart", description: "run what is not stored yet" },
    { command: "anneal run quickstart --set train.learningRate=1e-4", description: "with one field changed" }
  ])
)
