// The reporter that the chosen interface means. Ink and React are loaded for the live view only.
import { jsonReporter } from "#src/report/json.ts"
import { plainReporter } from "#src/report/plain.ts"
import { quietReporter } from "#src/report/quiet.ts"
import type { Reporter } from "#src/report/Reporter.ts"
import { note, print, themeFor, type Ui } from "./output.ts"

/** @param interrupt what Ctrl-C does where the terminal hands it over as a key */
export const reporterFor = async (ui: Ui, ascii: boolean, interrupt: () => void): Promise<Reporter> => {
  const theme = themeFor(process.stderr, ascii)
  switch (ui) {
    case "json":
      return jsonReporter(print)
    case "plain":
      return plainReporter(theme, note)
    case "quiet":
      return quietReporter(theme, note)
    case "live": {
      // React's development build is several times slower; it is chosen when the variable is not set.
      process.env["NODE_ENV"] ??= "production"
      const { liveReporter } = await import("#src/tui/live.ts")
      return liveReporter(theme, { stdout: process.stderr, stdin: process.stdin, interrupt })
    }
  }
}
