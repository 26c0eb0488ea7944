// Failures only.
import { runLines } from "./lines.ts"
import type { Reporter, WriteLine } from "./Reporter.ts"
import type { Theme } from "./Theme.ts"

export const quietReporter = (theme: Theme, write: WriteLine): Reporter => {
  const lines = runLines(theme)
  return {
    report: (event, view) => {
      if (event._tag === "RunEnded" && event.outcome !== "done") for (const line of lines(event, view)) write(line)
    },
    close: () => Promise.resolve()
  }
}
