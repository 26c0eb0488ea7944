// One event a line, exactly as the journal keeps it.
import type { Reporter, WriteLine } from "./Reporter.ts"

export const jsonReporter = (write: WriteLine): Reporter => ({
  report: (event) => write(JSON.stringify(event)),
  close: () => Promise.resolve()
})
