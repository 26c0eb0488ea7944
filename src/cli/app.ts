// The command line as a whole: all commands, how errors are shown, which exit code they get.
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { errorBlock } from "#src/report/errorBlock.ts"
import { asError, Exit } from "./command.ts"
import { compareCommand } from "./compare.ts"
import { doctorCommand } from "./doctor.ts"
import { exportCommand } from "./export.ts"
import { generateCommand } from "./generate.ts"
import { presenter } from "./help.ts"
import { initCommand } from "./init.ts"
import { logsCommand } from "./logs.ts"
import { modelsCommand } from "./models.ts"
import { note, themeFor } from "./output.ts"
import { version } from "./package.ts"
import { planCommand } from "./plan.ts"
import { runCommand } from "./run.ts"
import { runsCommand } from "./runs.ts"
import { showCommand } from "./show.ts"
import { statusCommand } from "./status.ts"
import { whyCommand } from "./why.ts"

const root = Command.make("anneal").pipe(
  Command.withDescription("Fine-tune language models with declarative, cached pipelines."),
  Command.withExamples([
    { command: "anneal plan quickstart", description: "what would run, and why" },
    { command: "anneal run quickstart", description: "run what is not stored yet" }
  ]),
  Command.withSubcommands([
    runCommand,
    planCommand,
    whyCommand,
    statusCommand,
    runsCommand,
    showCommand,
    compareCommand,
    logsCommand,
    modelsCommand,
    generateCommand,
    exportCommand,
    doctorCommand,
    initCommand
  ])
)

/** Runs one command line. Fails with `Exit` once everything is printed, so that runMain only has to set the code. */
export const app = (args: readonly string[]) => {
  const theme = themeFor(process.stderr, args.includes("--ascii"))
  const config = Layer.mergeAll(
    CliOutput.layerPresenter(presenter(theme)),
    CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
  )
  return Command.runWith(root, { version })(args).pipe(
    Effect.provide(config),
    Effect.catchCause((cause) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      const thrown = Cause.squash(cause)
      if (thrown instanceof Exit) return Effect.fail(thrown)
      if (CliError.isCliError(thrown)) return Effect.fail(new Exit(thrown._tag === "ShowHelp" && thrown.errors.length === 0 ? 0 : 2))
      const error = asError(thrown)
      note(errorBlock(theme, "anneal", error).join("\n"))
      return Effect.fail(new Exit(error.exitCode))
    })
  )
}
