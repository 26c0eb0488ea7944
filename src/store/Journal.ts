// The journal of a run: append-only lines of RunEvent, the truth that everything else is built from.
// Readers take a file that is still being written: a torn last line and events of later versions are skipped.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs"
import { open } from "node:fs/promises"
import { dirname } from "node:path"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { RunEvent, type RunEventBody } from "#src/domain/RunEvent.ts"
import { makeFolder } from "./makeFolder.ts"
import { isAlive } from "./processes.ts"

export interface Journal {
  /** Stamps v, seq, time and run on the event, writes it, and returns it. Never throws: see `error`. */
  readonly append: (body: RunEventBody) => RunEvent
  /** The first write that failed (a full disk, say): nothing is written after it. */
  readonly error: () => unknown
  readonly close: () => void
}

/** Opens a new journal. Errors: Node's (EEXIST where the run's name is taken). */
export const createJournal = (path: string, run: string): Journal => {
  makeFolder(dirname(path))
  const fd = openSync(path, "ax")
  let seq = 0
  let closed = false
  let failure: unknown
  const attempt = (f: () => void): void => {
    // A stage that was left behind by a second Ctrl-C may still talk: its words go nowhere.
    if (closed || failure !== undefined) return
    try {
      f()
    } catch (error) {
      failure = error
    }
  }
  return {
    append: (body) => {
      const event = { v: 1, seq: seq++, time: new Date().toISOString(), run, ...body } as RunEvent
      attempt(() => writeWhole(fd, `${JSON.stringify(event)}\n`))
      return event
    },
    error: () => failure,
    close: () => {
      attempt(() => fsyncSync(fd))
      closed = true
      closeSync(fd)
    }
  }
}

const writeWhole = (fd: number, line: string): void => {
  const bytes = Buffer.from(line)
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done)
}

const decode = Schema.decodeUnknownResult(RunEvent)

/** The event of one line; undefined for a torn line and for an event that this version does not know. */
export const parseEvent = (line: string): RunEvent | undefined => {
  try {
    return Result.getOrUndefined(decode(JSON.parse(line)))
  } catch {
    return undefined
  }
}

const parseLines = (text: string): readonly RunEvent[] =>
  text.split("\n").flatMap((line) => {
    const event = line === "" ? undefined : parseEvent(line)
    return event === undefined ? [] : [event]
  })

/** Every event of a journal so far; none where there is no journal. */
export const readJournal = (path: string): readonly RunEvent[] => (existsSync(path) ? parseLines(readFileSync(path, "utf8")) : [])

/** Events as they are written, from the first one, until the run ends, its process is gone, or `signal` fires. */
export async function* followJournal(path: string, signal?: AbortSignal, pollMs = 100): AsyncGenerator<RunEvent> {
  const file = await open(path, "r")
  try {
    let rest = Buffer.alloc(0)
    let owner: { readonly pid: number; readonly pidStart: string | null } | undefined
    while (signal?.aborted !== true) {
      // Asked before the last read: what the process wrote before it died is still delivered.
      const alive = owner === undefined || isAlive(owner)
      const bytes = Buffer.concat([rest, await readMore(file)])
      const end = bytes.lastIndexOf(10) + 1
      rest = bytes.subarray(end)
      for (const event of parseLines(bytes.subarray(0, end).toString("utf8"))) {
        if (event._tag === "RunStarted") owner = event
        yield event
        if (event._tag === "RunEnded") return
      }
      if (!alive) return
      await new Promise((resolve) => setTimeout(resolve, pollMs))
    }
  } finally {
    await file.close()
  }
}

const readMore = async (file: Awaited<ReturnType<typeof open>>): Promise<Buffer> => {
  const parts: Buffer[] = []
  for (;;) {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafe(1 << 16) })
    if (bytesRead === 0) return Buffer.concat(parts)
    parts.push(buffer.subarray(0, bytesRead))
  }
}
