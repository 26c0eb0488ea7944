// What a run's progress is told to: one call an event, in journal order, with the view after it.
import type { RunEvent } from "#src/domain/RunEvent.ts"
import type { RunView } from "#src/domain/RunView.ts"

export interface Reporter {
  readonly report: (event: RunEvent, view: RunView) => void
  /** Gives the terminal back; resolves when everything is drawn. Called once, also when the run broke. */
  readonly close: () => Promise<void>
}

/** Takes one line without its line end. */
export type WriteLine = (line: string) => void
