// The live reporter on a terminal of its own: what scrolls away, what redraws, what the keys do, what is left at the end.
import { PassThrough } from "node:stream"
import { expect, test } from "vitest"
import { emptyRunView, reduceRun } from "#src/domain/RunView.ts"
import type { RunEvent } from "#src/domain/RunEvent.ts"
import type { Reporter } from "#src/report/Reporter.ts"
import { makeTheme } from "#src/report/Theme.ts"
import { liveReporter } from "#src/tui/live.ts"
import { doneJournal, liveJournal } from "../report/journal.ts"

const terminal = () => {
  const output = new PassThrough()
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => input, ref: () => input, unref: () => input })
  let written = ""
  output.on("data", (chunk: Buffer) => (written += chunk.toString()))
  return {
    stdout: Object.assign(output, { isTTY: true, columns: 98, rows: 30 }) as unknown as NodeJS.WriteStream,
    stdin: input as unknown as NodeJS.ReadStream,
    type: (keys: string) => input.write(keys),
    written: () => written,
    /** Waits until the terminal got this text. */
    saw: async (text: string): Promise<void> => {
      while (!written.includes(text)) await new Promise((done) => setTimeout(done, 10))
    }
  }
}

const feeder = (reporter: Reporter) => {
  let view = emptyRunView
  return (events: readonly RunEvent[]): void => {
    for (const event of events) {
      view = reduceRun(view, event)
      reporter.report(event, view)
    }
  }
}

test("lines scroll away, the block redraws below them and is gone at the end", async () => {
  const tty = terminal()
  const reporter = liveReporter(makeTheme({ ascii: false, colour: false }), { ...tty, interrupt: () => {} })
  const feed = feeder(reporter)
  feed(liveJournal)
  await tty.saw("81/120")
  await tty.saw("next  evaluate")
  expect(tty.written()).toContain("↺ format")
  feed(doneJournal.slice(liveJournal.length))
  await reporter.close()
  const last = tty.written().slice(tty.written().lastIndexOf("✔ train"))
  expect(last).toContain("✔ calm-ibis")
  expect(last).not.toContain("ctrl-c stops")
})

test("s streams every step and comes back, ctrl-c asks the run to stop and says what a second one does", async () => {
  const tty = terminal()
  let interrupted = 0
  const reporter = liveReporter(makeTheme({ ascii: false, colour: false }), { ...tty, interrupt: () => void interrupted++ })
  const feed = feeder(reporter)
  const cut = liveJournal.findIndex((event) => event._tag === "Metrics" && event.step === 25)
  feed(liveJournal.slice(0, cut))
  await tty.saw("s stream")
  expect(tty.written()).not.toContain("step 23/120")
  tty.type("s")
  await tty.saw("s live view")
  feed(liveJournal.slice(cut))
  await tty.saw("step 80/120 loss")
  tty.type("s")
  await tty.saw("81/120")
  tty.type("\x03")
  await tty.saw("ctrl-c again stops at once")
  expect(interrupted).toBe(1)
  await reporter.close()
})
