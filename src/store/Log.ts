// The log file of a stage in a run: its own words, and what native code writes to stdout and stderr.
import { appendFileSync, closeSync, openSync, readFileSync } from "node:fs"
import { dirname } from "node:path"
import { makeFolder } from "./makeFolder.ts"

export interface StageLog {
  readonly path: string
  /** For the stdio of a stage's own process. */
  readonly fd: number
  readonly write: (text: string) => void
  readonly lastLines: (count: number) => readonly string[]
  readonly close: () => void
}

export const openLog = (path: string): StageLog => {
  makeFolder(dirname(path))
  const fd = openSync(path, "a")
  let closed = false
  return {
    path,
    fd,
    write: (text) => {
      if (closed) return
      try {
        appendFileSync(fd, `${text}\n`)
      } catch {
        // A full disk fails the stage where results are written; a log line is not worth it.
      }
    },
    lastLines: (count) =>
      readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => line.trim() !== "")
        .slice(-count),
    close: () => {
      closed = true
      closeSync(fd)
    }
  }
}
