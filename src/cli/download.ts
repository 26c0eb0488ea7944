// A download as the command line shows it: plain lines on stderr, and Ctrl-C ends it with what has arrived kept.
import { bytes } from "#src/domain/bytes.ts"
import { shortCommit } from "#src/domain/hubName.ts"
import type { Downloading } from "#src/engine/bases.ts"
import { duration } from "#src/report/format.ts"
import type { DownloadEvent } from "#src/store/Hub.ts"
import { note } from "./output.ts"
import { exitCodeOf, withSignals } from "./signals.ts"

/** Time between two lines of progress. */
const lineMs = 5_000

/** @param silent for --ui json and quiet */
export const downloading =
  (silent: boolean): Downloading =>
  (work) => {
    const stop = new AbortController()
    return withSignals(
      (signal) => {
        // A second time: whatever it hangs on, the part on the disk is as good as it gets.
        if (stop.signal.aborted) process.exit(exitCodeOf(signal))
        stop.abort()
      },
      () => work({ signal: stop.signal, onEvent: silent ? () => {} : lines(note) })
    )
  }

/** Turns events into lines, a few a minute. */
export const lines = (write: (line: string) => void, now: () => number = () => performance.now()): ((event: DownloadEvent) => void) => {
  let [began, told, first] = [0, 0, 0]
  return (event) => {
    switch (event._tag) {
      case "Waiting":
        return write(`${event.name.text}: ${event.owner} is downloading it, waiting`)
      case "Begin": {
        began = told = now()
        first = event.done
        const rest = first === 0 ? "" : `, ${bytes(first)} of it here already`
        return write(
          `downloading ${event.name.text} (commit ${shortCommit(event.commit)}): ${event.files} files, ${bytes(event.total)}${rest}`
        )
      }
      case "Bytes": {
        if (now() - told < lineMs) return
        told = now()
        const { done, total, file } = event
        const rate = (done - first) / ((told - began) / 1000)
        const left = rate > 0 ? `, ${duration(((total - done) / rate) * 1000)} left` : ""
        return write(
          `  ${bytes(done)} of ${bytes(total)} (${Math.floor((100 * done) / total)} %)  ${bytes(Math.round(rate))}/s${left}  ${file}`
        )
      }
      case "Done":
        return write(`downloaded ${event.name.text}: ${bytes(event.total)} in ${duration(now() - began)}`)
    }
  }
}
