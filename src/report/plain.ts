// Plain lines on a stream: no cursor moves, nothing redrawn. What a log file, a pipe and `anneal logs` show.
import { type LineOptions, runLines } from "./lines.ts"
import type { Reporter, WriteLine } from "./Reporter.ts"
import type { Theme } from "./Theme.ts"

export const plainReporter = (theme: Theme, write: WriteLine, options: LineOptions = {}): Reporter => {
  const lines = runLines(theme, options)
  return {
    report: (event, view) => {
      for (const line of lines(event, view)) write(line)
    },
    close: () => Promise.resolve()
  }
}
