// One attempt at a time per key. A lease is a file that names its owner; a dead owner's lease is taken over, and the
// attempt token fences the former owner: it may not write checkpoints or publish any more.
import { randomBytes } from "node:crypto"
import {
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import { EnvironmentError } from "#src/domain/Errors.ts"
import { makeFolder } from "./makeFolder.ts"
import { host, isAlive, type ProcessId, processId } from "./processes.ts"
import type { WorkspacePaths } from "./Workspace.ts"

/** The file's content. The heartbeat is the file's mtime, touched every `heartbeatMs`. */
export interface LeaseRecord extends ProcessId {
  readonly host: string
  /** Token of this attempt: 12 hex digits. */
  readonly attempt: string
  /** Run that holds it, for messages. */
  readonly run: string
  /** The stage's own process where it has one: the lease lives as long as either does. */
  readonly child?: ProcessId
}

const heartbeatMs = 5_000
/** A lease held on another machine counts as dead after this long without a heartbeat. */
const remoteTimeoutMs = 60_000

export const leaseFile = (workspace: Pick<WorkspacePaths, "leases">, hex: string): string => join(workspace.leases, `${hex}.json`)

export const readLease = (path: string): LeaseRecord | undefined => {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as LeaseRecord
  } catch {
    return undefined
  }
}

/** @throws EnvironmentError where the lease at `path` is no longer this attempt's */
export const verifyLease = (path: string, attempt: string): void => {
  const now = readLease(path)
  if (now?.attempt === attempt) return
  throw new EnvironmentError({
    message: "another process has taken over this stage",
    where: path,
    why: now === undefined ? "the lease file is gone" : `it is held by ${ownerText(now)}`,
    hint: "let that run finish, then run the same command: its result is reused"
  })
}

export const ownerText = (lease: LeaseRecord): string => `run ${lease.run} (process ${lease.pid} on ${lease.host})`

const isHeld = (path: string, lease: LeaseRecord): boolean => {
  if (lease.host === host) return isAlive(lease) || (lease.child !== undefined && isAlive(lease.child))
  try {
    return Date.now() - statSync(path).mtimeMs < remoteTimeoutMs
  } catch {
    return false
  }
}

// Written aside and linked, so that a reader never sees half a lease, and only one of two processes gets it.
const create = (path: string, lease: LeaseRecord): boolean => {
  const temp = `${path}.${lease.attempt}.tmp`
  writeFileSync(temp, JSON.stringify(lease))
  try {
    linkSync(temp, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
    throw error
  } finally {
    unlinkSync(temp)
  }
}

/** Moves a dead lease out of the way. A live one that came in between is put back. */
const takeAway = (path: string, dead: LeaseRecord): void => {
  const aside = `${path}.${dead.attempt}.dead`
  try {
    renameSync(path, aside)
  } catch {
    return
  }
  if (readLease(aside)?.attempt !== dead.attempt) {
    try {
      linkSync(aside, path)
    } catch {
      // A third process took it meanwhile: the owner put aside is fenced by its token.
    }
  }
  rmSync(aside, { force: true })
}

/** Attempts that go on now; leases of the dead are removed on the way. */
export const liveAttempts = (workspace: WorkspacePaths): ReadonlySet<string> => {
  const live = new Set<string>()
  for (const name of existsSync(workspace.leases) ? readdirSync(workspace.leases) : []) {
    const path = join(workspace.leases, name)
    const lease = readLease(path)
    if (lease === undefined) continue
    if (isHeld(path, lease)) live.add(lease.attempt)
    else takeAway(path, lease)
  }
  return live
}

export interface Lease {
  readonly path: string
  readonly attempt: string
  /** Throws EnvironmentError where the lease was lost. */
  readonly verify: () => void
  /** Names the stage's own process as a second owner. */
  readonly withChild: (pid: number) => void
  readonly release: () => void
}

/** Takes the lease of `hex` (a key's digits), or tells who holds it. Errors: EnvironmentError's causes (full disk, read-only). */
export const tryAcquire = (
  workspace: Pick<WorkspacePaths, "leases">,
  hex: string,
  run: string
): Lease | { readonly heldBy: LeaseRecord } => {
  const path = leaseFile(workspace, hex)
  makeFolder(dirname(path))
  const mine: LeaseRecord = { ...processId(process.pid), host, attempt: randomBytes(6).toString("hex"), run }
  for (;;) {
    if (create(path, mine)) return held(path, mine)
    const other = readLease(path)
    if (other === undefined) {
      // Released in between, or a file torn by a machine that went down: leases appear whole, so no live one reads as garbage.
      if (existsSync(path) && readLease(path) === undefined) rmSync(path, { force: true })
    } else if (isHeld(path, other)) return { heldBy: other }
    else takeAway(path, other)
  }
}

const touch = (path: string, attempt: string): void => {
  try {
    if (readLease(path)?.attempt === attempt) utimesSync(path, new Date(), new Date())
  } catch {
    // A beat that is missed counts only on other machines, and only after many.
  }
}

const held = (path: string, mine: LeaseRecord): Lease => {
  const isMine = (): boolean => readLease(path)?.attempt === mine.attempt
  // Touched as long as it is held; unref, so that it keeps no process alive.
  const heart = setInterval(() => touch(path, mine.attempt), heartbeatMs).unref()
  return {
    path,
    attempt: mine.attempt,
    verify: () => verifyLease(path, mine.attempt),
    withChild: (pid) => {
      verifyLease(path, mine.attempt)
      const temp = `${path}.${mine.attempt}.tmp`
      writeFileSync(temp, JSON.stringify({ ...mine, child: processId(pid) }))
      renameSync(temp, path)
    },
    release: () => {
      clearInterval(heart)
      if (isMine()) rmSync(path, { force: true })
    }
  }
}
