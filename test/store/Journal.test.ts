// Journals: stamped lines, readable while they are written, torn ends and unknown events skipped.
import { appendFileSync, readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import type { RunEvent } from "#src/domain/RunEvent.ts"
import { createJournal, followJournal, readJournal } from "#src/store/Journal.ts"
import { processId } from "#src/store/processes.ts"
import { journalPath } from "#src/store/Workspace.ts"
import { temporaryStore } from "./support.ts"

const started = (pid = process.pid) =>
  ({ _tag: "RunStarted", pipeline: "p", git: null, ...processId(pid), config: {}, overrides: {}, sources: {} }) as const
const log = (text: string) => ({ _tag: "Log", stage: "s", level: "info", text }) as const
const ended = { _tag: "RunEnded", outcome: "done", savedMs: 0 } as const

describe("writing and reading", () => {
  test("stamps v, seq, time and run; reads back what was written", () => {
    const path = journalPath(temporaryStore(), "calm-ibis")
    const journal = createJournal(path, "calm-ibis")
    const events = [journal.append(started()), journal.append(log("grüße\nzwei")), journal.append(ended)]
    journal.close()
    expect(events.map(({ v, seq, run }) => [v, seq, run])).toEqual([0, 1, 2].map((seq) => [1, seq, "calm-ibis"]))
    expect(readJournal(path)).toEqual(events)
    expect(readFileSync(path, "utf8").split("\n")).toHaveLength(4)
  })
  test("a torn last line, an unknown event and a field of a later version", () => {
    const path = journalPath(temporaryStore(), "r")
    const journal = createJournal(path, "r")
    const first = journal.append(log("one"))
    journal.close()
    appendFileSync(
      path,
      `${JSON.stringify({ ...first, _tag: "Later", more: 1 })}\n${JSON.stringify({ ...first, more: 1 })}\n{"_tag":"Log","v":1,"se`
    )
    expect(readJournal(path).map((event) => event._tag)).toEqual(["Log", "Log"])
  })
  test("a name that is taken is refused; no journal reads as none", () => {
    const store = temporaryStore()
    createJournal(journalPath(store, "r"), "r").close()
    expect(() => createJournal(journalPath(store, "r"), "r")).toThrow(/EEXIST/)
    expect(readJournal(journalPath(store, "other"))).toEqual([])
  })
})

describe("following", () => {
  const all = async (events: AsyncIterable<RunEvent>): Promise<readonly string[]> => {
    const tags: string[] = []
    for await (const event of events) tags.push(event._tag)
    return tags
  }
  test("delivers events as they come, also one whose line is torn at first, until the run ends", async () => {
    const path = journalPath(temporaryStore(), "r")
    const journal = createJournal(path, "r")
    journal.append(started())
    const tags = all(followJournal(path, undefined, 5))
    const line = `${JSON.stringify({ v: 1, seq: 1, time: "t", run: "r", ...log("ö") })}\n`
    const bytes = Buffer.from(line)
    const cut = bytes.indexOf(0xc3) + 1
    appendFileSync(path, bytes.subarray(0, cut))
    await new Promise((resolve) => setTimeout(resolve, 30))
    appendFileSync(path, bytes.subarray(cut))
    journal.append(ended)
    expect(await tags).toEqual(["RunStarted", "Log", "RunEnded"])
  })
  test("ends when the process that writes is gone, or on a signal", async () => {
    const path = journalPath(temporaryStore(), "r")
    const journal = createJournal(path, "r")
    journal.append({ ...started(), pid: 2 ** 22 + 1, pidStart: "1" })
    journal.append(log("last words"))
    expect(await all(followJournal(path, undefined, 5))).toEqual(["RunStarted", "Log"])
    const live = journalPath(temporaryStore(), "live")
    createJournal(live, "live").append(started())
    expect(await all(followJournal(live, AbortSignal.timeout(30), 5))).toEqual(["RunStarted"])
  })
})
