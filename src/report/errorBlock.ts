// How every error is shown: what, where, why, and what to type next. A bug of ours adds how to report it.
import type { ErrorRecord } from "#src/domain/RunEvent.ts"
import type { Theme } from "./Theme.ts"

/** @param subject the stage that failed, or "anneal" */
export const errorBlock = (theme: Theme, subject: string, error: Omit<ErrorRecord, "tag">): readonly string[] => {
  const indented = (text: string): string => text.replaceAll("\n", "\n    ")
  return [
    theme.paint("red", `${theme.glyph.failed} ${subject}: `) + indented(error.message),
    ...(error.where === undefined ? [] : [`  at ${indented(error.where)}`]),
    ...(error.why === undefined ? [] : [`  why: ${indented(error.why)}`]),
    ...(error.hint === undefined ? [] : [theme.paint("cyan", "  try: ") + indented(error.hint)])
  ].flatMap((line) => line.split("\n"))
}
