// `anneal logs <run> [stage]`: the run's journal as plain lines, the same text that a CI log has; -f follows while it runs.
import { existsSync, readFileSync } from "node:fs"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { UsageError } from "#src/domain/Errors.ts"
import type { RunEvent } from "#src/domain/RunEvent.ts"
import { emptyRunView, reduceRun, runViewOf } from "#src/domain/RunView.ts"
import { runLines } from "#src/report/lines.ts"
import type { Theme } from "#src/report/Theme.ts"
import { followJournal } from "#src/store/Journal.ts"
import { journalPath, logPath } from "#src/store/Workspace.ts"
import { handler } from "./command.ts"
import { openWorkspace, resolveRun, runEvents } from "./context.ts"
import * as flags from "./flags.ts"
import { print, themeFor } from "./output.ts"
import { hintFor } from "#src/domain/nearest.ts"

const units: Readonly<Record<string, number>> = { s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 }

/** Milliseconds since 1970 of "10m", "2h" … before now, or of a time as ISO-8601 writes it. @throws UsageError */
const timeOf = (since: string): number => {
  const [, count, unit] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(since) ?? []
  const time = count === undefined ? Date.parse(since) : Date.now() - Number(count) * (units[unit ?? ""] ?? 0)
  if (!Number.isNaN(time)) return time
  throw new UsageError({
    message: `--since ${since} is no time`,
    hint: "write how long ago, as 90s, 10m, 2h or 1d, or a time as 2026-01-31T12:00Z"
  })
}

/** `since`: milliseconds; what happened before is not printed. */
const printer = (theme: Theme, stage: string | undefined, every: boolean, since: number): ((event: RunEvent) => void) => {
  const lines = runLines(theme, { everyStep: every })
  let view = emptyRunView
  return (event) => {
    view = reduceRun(view, event)
    if (stage !== undefined && !("stage" in event && event.stage === stage)) return
    const said = lines(event, view)
    if (Date.parse(event.time) < since) return
    for (const line of said) print(line)
    if (stage !== undefined && event._tag === "StageEnded" && event.error !== null) {
      print([event.error.message, event.error.where, event.error.why, event.error.hint].filter((part) => part !== undefined).join("\n  "))
    }
  }
}

/** What the stage's process wrote itself: stacks, and the words of native code. */
const printRaw = (path: string): void => {
  const text = existsSync(path) ? readFileSync(path, "utf8").trimEnd() : ""
  if (text !== "") print(`--- ${path}\n${text}`)
}

export const logsCommand = Command.make(
  "logs",
  {
    run: flags.run,
    stage: Argument.String("stage").pipe(Argument.withDescription("only this stage"), Argument.optional),
    follow: Flag.Boolean("follow").pipe(Flag.withAlias("f"), Flag.withDescription("go on while the run does"), Flag.withDefault(false)),
    since: flags.maybe(
      Flag.String("since").pipe(
        Flag.withMetavar("time"),
        Flag.withDescription("leave out what is older: 90s, 10m, 2h, 1d, or a time in ISO-8601")
      )
    ),
    all: Flag.Boolean("all").pipe(Flag.withDescription("every reported step"), Flag.withDefault(false)),
    ascii: flags.ascii,
    artifacts: flags.artifacts
  },
  handler(async (input) => {
    const since = input.since === undefined ? -Infinity : timeOf(input.since)
    const workspace = openWorkspace(input.artifacts)
    const run = await resolveRun(workspace, input.run)
    const events = runEvents(workspace, run)
    const stage = Option.getOrUndefined(input.stage)
    const known = runViewOf(events).stages.map((one) => one.id)
    if (stage !== undefined && !known.includes(stage)) {
      throw new UsageError({ message: `run ${run} has no stage "${stage}"`, hint: hintFor(stage, known) })
    }
    const line = printer(themeFor(process.stdout, input.ascii), stage, input.all, since)
    if (input.follow) for await (const event of followJournal(journalPath(workspace, run))) line(event)
    else for (const event of events) line(event)
    if (stage !== undefined) printRaw(logPath(workspace, run, stage))
  })
).pipe(
  Command.withDescription("The log of a run, or of one of its stages, as plain text."),
  Command.withExamples([
    { command: "anneal logs latest train", description: "one stage of the newest run" },
    { command: "anneal logs latest -f --since 10m", description: "follow a run that goes on, from ten minutes ago" }
  ])
)
