// Who a process is: pid plus start time, so that a pid used again is not taken for its former owner.
import { readFileSync } from "node:fs"
import { hostname } from "node:os"

export interface ProcessId {
  readonly pid: number
  /** Clock ticks since boot (field 22 of /proc/<pid>/stat), null where the system does not tell. */
  readonly pidStart: string | null
}

export const host = hostname()

const procStat = (pid: number): { readonly state: string; readonly start: string } | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The command name (field 2) may hold spaces and brackets: the rest starts behind its last closing bracket.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return { state: fields[0] ?? "", start: fields[19] ?? "" }
  } catch {
    return undefined
  }
}

export const processId = (pid: number): ProcessId => ({ pid, pidStart: procStat(pid)?.start ?? null })

/** Whether this very process still runs on this machine. */
export const isAlive = ({ pid, pidStart }: ProcessId): boolean => {
  if (pidStart !== null) {
    const now = procStat(pid)
    return now?.start === pidStart && now.state !== "Z"
  }
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}
