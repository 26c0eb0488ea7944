// One attempt at a time: held by the living, taken from the dead, and the dead are fenced.
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, utimesSync, writeFileSync } from "node:fs"
import { expect, test } from "vitest"
import { type Lease, leaseFile, type LeaseRecord, readLease, tryAcquire, verifyLease } from "#src/store/Lease.ts"
import { host, processId } from "#src/store/processes.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { temporaryStore } from "./support.ts"

const acquire = (store: WorkspacePaths): Lease => {
  const lease = tryAcquire(store, "ab", "calm-ibis")
  if ("heldBy" in lease) throw new Error(`held by ${lease.heldBy.pid}`)
  return lease
}
const deadPid = (): number => spawnSync(process.execPath, ["-e", ""]).pid
const leave = (store: WorkspacePaths, record: Partial<LeaseRecord>): void => {
  acquire(store).release()
  writeFileSync(leaseFile(store, "ab"), JSON.stringify({ ...processId(process.pid), host, attempt: "old", run: "bold-lynx", ...record }))
}

test("a lease is held until it is released", () => {
  const store = temporaryStore()
  const lease = acquire(store)
  lease.verify()
  expect(tryAcquire(store, "ab", "other")).toMatchObject({ heldBy: { attempt: lease.attempt, run: "calm-ibis", pid: process.pid } })
  lease.release()
  expect(existsSync(lease.path)).toBe(false)
  acquire(store).release()
})

test("a dead owner's lease is taken over and its attempt is fenced", () => {
  const store = temporaryStore()
  leave(store, { pid: deadPid(), pidStart: "1" })
  const lease = acquire(store)
  lease.verify()
  expect(() => verifyLease(lease.path, "old")).toThrow(expect.objectContaining({ _tag: "EnvironmentError" }))
  expect(readdirSync(store.leases)).toEqual(["ab.json"])
})

test("a pid used again by another process is not its former owner", () => {
  const store = temporaryStore()
  leave(store, { pidStart: "1" })
  acquire(store).verify()
})

test("the stage's own process keeps the lease alive after its engine died", () => {
  const store = temporaryStore()
  leave(store, { pid: deadPid(), pidStart: "1", child: processId(process.pid) })
  expect(tryAcquire(store, "ab", "other")).toMatchObject({ heldBy: { attempt: "old" } })
})

test("on another machine a lease lives by its heartbeat", () => {
  const store = temporaryStore()
  leave(store, { host: "elsewhere", pid: deadPid() })
  expect(tryAcquire(store, "ab", "other")).toMatchObject({ heldBy: { host: "elsewhere" } })
  const longAgo = new Date(Date.now() - 120_000)
  utimesSync(leaseFile(store, "ab"), longAgo, longAgo)
  acquire(store).verify()
})

test("a torn file is no lease", () => {
  const store = temporaryStore()
  leave(store, {})
  writeFileSync(leaseFile(store, "ab"), '{"pid":')
  acquire(store).verify()
})

test("a lost lease can be neither beaten, changed nor released", () => {
  const store = temporaryStore()
  const lost = acquire(store)
  writeFileSync(lost.path, JSON.stringify({ ...readLease(lost.path), attempt: "newer" }))
  expect(lost.verify).toThrow(/taken over/)
  expect(() => lost.withChild(process.pid)).toThrow(/taken over/)
  lost.release()
  expect(readLease(lost.path)?.attempt).toBe("newer")
})

test("the child's process is named in it", () => {
  const lease = acquire(temporaryStore())
  lease.withChild(process.pid)
  expect(readLease(lease.path)?.child).toEqual(processId(process.pid))
  lease.verify()
})
