// The looks of help and of a wrong command line: examples come first, errors are one block with what to type next.
import type * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import type * as HelpDoc from "effect/cli/HelpDoc"
import * as Effect from "effect/Effect"
import { errorBlock } from "#src/report/errorBlock.ts"
import type { Theme } from "#src/report/Theme.ts"
import { note, print } from "./output.ts"

const helpText = (theme: Theme, doc: HelpDoc.HelpDoc): string => {
  const { examples = [], ...rest } = doc
  const formatter = CliOutput.defaultFormatter({ colors: theme.paint("bold", "x") !== "x", inheritedFlags: "none", globalFlags: "none" })
  const width = Math.max(0, ...examples.map((example) => example.command.length))
  const lines = examples.map((example) => `  ${theme.paint("cyan", example.command.padEnd(width))}  ${example.description ?? ""}`.trimEnd())
  return [...(lines.length === 0 ? [] : [theme.paint("bold", "EXAMPLES"), ...lines, ""]), formatter.formatHelpDoc(rest)].join("\n")
}

type InvocationError = Parameters<CliOutput.Formatter["formatErrors"]>[0][number]

const described = (error: InvocationError, path: string): { readonly message: string; readonly hint: string } => {
  const help = `${path} -h`
  const or = (suggestions: readonly string[], prefix: string): string =>
    suggestions[0] === undefined ? help : `${prefix}${suggestions[0]}`
  switch (error._tag) {
    case "UnknownSubcommand":
      return { message: `no command "${error.subcommand}"`, hint: or(error.suggestions, "anneal ") }
    case "UnrecognizedOption":
      return { message: `${path} has no flag ${error.option}`, hint: or(error.suggestions, "") }
    case "MissingArgument":
      return { message: `${path} needs <${error.argument}>`, hint: help }
    default:
      return { message: (error as CliError.ValidationError).message, hint: help }
  }
}

/** Help goes to stdout; a wrong command line goes to stderr, without the whole help behind it. */
export const presenter = (theme: Theme): CliOutput.Presenter => ({
  present: (event) =>
    Effect.sync(() => {
      switch (event._tag) {
        case "Help":
          return print(helpText(theme, event.helpDoc))
        case "Version":
          return print(`${event.name} ${event.version}`)
        case "InvalidInvocation":
          for (const error of event.errors) note(errorBlock(theme, "usage", described(error, event.commandPath.join(" "))).join("\n"))
      }
    })
})
