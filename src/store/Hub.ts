// Base models from the Hugging Face hub: <org>--<name>/<commit>/ holds real files, complete or not there at all. Beside it lie
// what each revision meant last (refs/), a record of the files (<commit>.json) and what is still on its way (.<commit>/).
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { statfs } from "node:fs/promises"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { bytes } from "#src/domain/bytes.ts"
import { DataError, EnvironmentError } from "#src/domain/Errors.ts"
import { type HubName, shortCommit } from "#src/domain/hubName.ts"
import { type Digest, folderDigest } from "./digest.ts"
import { hubClient, isUnreachable, stopped } from "./hubClient.ts"
import { bytesThere, fetchFile } from "./hubDownload.ts"
import type { HubFile } from "./hubFiles.ts"
import { type Lease, tryAcquire } from "./Lease.ts"
import { makeFolder } from "./makeFolder.ts"
import type { WorkspacePaths } from "./Workspace.ts"

export interface HubCopy {
  readonly commit: string
  /** Where its files lie, or will. */
  readonly folder: string
  readonly present: boolean
  /** Set where the hub cannot be reached and the revision is taken as it was last. */
  readonly warning?: string
}

export type DownloadEvent =
  | {
      readonly _tag: "Begin"
      readonly name: HubName
      readonly commit: string
      readonly files: number
      readonly done: number
      readonly total: number
    }
  | { readonly _tag: "Bytes"; readonly file: string; readonly done: number; readonly total: number }
  | { readonly _tag: "Waiting"; readonly name: HubName; readonly owner: string }
  | { readonly _tag: "Done"; readonly name: HubName; readonly total: number }

export interface DownloadHooks {
  readonly signal?: AbortSignal | undefined
  readonly onEvent: (event: DownloadEvent) => void
}

export interface Hub {
  /** The commit that a name means, and whether it is here. Asks the hub unless the name is pinned and here; writes nothing. */
  readonly locate: (name: HubName) => Promise<HubCopy>
  /** Bytes that a download of the commit would bring. */
  readonly sizeOf: (name: HubName, commit: string) => Promise<number>
  /** Brings the commit here; goes on where an earlier attempt ended, waits where another process is at it. */
  readonly download: (name: HubName, commit: string, hooks: DownloadHooks) => Promise<void>
  /** Keeps what the revision meant, for when the hub cannot be reached. */
  readonly remember: (name: HubName, commit: string) => void
  /** @throws DataError where the folder's bytes are no longer those that were downloaded */
  readonly check: (name: HubName, copy: HubCopy, found: Digest) => void
}

/** "org/name" as one folder name: names on the hub hold no "--". */
const flat = (repo: string): string => repo.replace("/", "--")

/** Where a commit's files lie, or would. */
export const hubFolder = (workspace: WorkspacePaths, repo: string, commit: string): string => join(workspace.hub, flat(repo), commit)

/** `retryMs`: the first wait between attempts at the hub. */
export const openHub = (
  workspace: WorkspacePaths,
  env: Readonly<Record<string, string | undefined>> = process.env,
  retryMs?: number
): Hub => {
  const client = hubClient(env, retryMs)
  const folderOf = ({ repo }: HubName, commit: string): string => hubFolder(workspace, repo, commit)
  const refFile = ({ repo, revision }: HubName): string => join(workspace.hub, flat(repo), "refs", encodeURIComponent(revision))
  const copyOf = (name: HubName, commit: string): HubCopy => {
    const folder = folderOf(name, commit)
    return { commit, folder, present: existsSync(folder) }
  }

  const lastKnown = (name: HubName): { readonly copy: HubCopy; readonly since: string } | undefined => {
    const file = refFile(name)
    if (!existsSync(file)) return undefined
    const copy = copyOf(name, readFileSync(file, "utf8").trim())
    return copy.present ? { copy, since: statSync(file).mtime.toISOString().slice(0, 10) } : undefined
  }

  const locate = async (name: HubName): Promise<HubCopy> => {
    if (name.pinned) return copyOf(name, name.revision)
    const last = lastKnown(name)
    try {
      return copyOf(name, await client.commitOf(name, last !== undefined))
    } catch (thrown) {
      if (last === undefined || !isUnreachable(thrown)) throw thrown
      const { copy, since } = last
      const warning = `${thrown.message} (${thrown.why}): using commit ${shortCommit(copy.commit)}, which it was on ${since}`
      return { ...copy, warning }
    }
  }

  const download = async (name: HubName, commit: string, hooks: DownloadHooks): Promise<void> => {
    const folder = folderOf(name, commit)
    const lease = await takeLease(workspace.hub, `${flat(name.repo)}.${commit}`, name, hooks)
    try {
      if (existsSync(folder)) return
      const files = await client.filesOf(name, commit, hooks.signal)
      const unfinished = join(dirname(folder), `.${commit}`)
      makeFolder(unfinished)
      const total = sum(files)
      const there = files.map((file) => bytesThere(unfinished, file))
      const done = (): number => there.reduce((all, count) => all + count, 0)
      await refuseFullDisk(name, unfinished, total - done())
      hooks.onEvent({ _tag: "Begin", name, commit, files: files.length, done: done(), total })
      const proven: { readonly path: string; readonly size: number; readonly sha256: string }[] = []
      for (const [i, file] of files.entries()) {
        const onBytes = (count: number): void => {
          there[i] = count
          hooks.onEvent({ _tag: "Bytes", file: file.name, done: done(), total })
        }
        const sha256 = await fetchFile({ client, name, commit, signal: hooks.signal, onBytes }, unfinished, file)
        if (hooks.signal?.aborted === true) throw stopped(name)
        proven.push({ path: file.name, size: file.size, sha256 })
      }
      lease.verify()
      writeAside(`${folder}.json`, JSON.stringify({ digest: folderDigest(proven), files: proven }))
      renameSync(unfinished, folder)
      hooks.onEvent({ _tag: "Done", name, total })
    } finally {
      lease.release()
    }
  }

  return {
    locate,
    download,
    sizeOf: async (name, commit) => sum(await client.filesOf(name, commit)),
    remember: (name, commit) => {
      const file = refFile(name)
      if (name.pinned) return
      try {
        makeFolder(dirname(file))
        writeAside(file, `${commit}\n`)
      } catch {
        // A cache that others keep may be read-only here: only a later run without the hub would miss this note.
      }
    },
    check: (name, { folder }, found) => {
      const digest = recordedDigest(`${folder}.json`)
      if (digest === undefined || digest === found.digest) return
      throw new DataError({
        message: `the copy of ${name.text} is not as it was downloaded`,
        where: folder,
        why: "a file was added, taken away or changed",
        hint: 'remove that folder: the next run downloads it again. A changed model belongs in a folder of its own: baseModel("models/name")'
      })
    }
  }
}

const sum = (files: readonly HubFile[]): number => files.reduce((all, { size }) => all + size, 0)

const recordedDigest = (path: string): string | undefined => {
  try {
    return (JSON.parse(readFileSync(path, "utf8")) as { readonly digest?: string }).digest
  } catch {
    return undefined
  }
}

const writeAside = (path: string, text: string): void => {
  const temp = `${path}.${process.pid}.tmp`
  try {
    writeFileSync(temp, text)
    renameSync(temp, path)
  } finally {
    rmSync(temp, { force: true })
  }
}

const takeLease = async (hub: string, id: string, name: HubName, { signal, onEvent }: DownloadHooks): Promise<Lease> => {
  for (let told = false; ; told = true) {
    if (signal?.aborted === true) throw stopped(name)
    const lease = tryAcquire({ leases: join(hub, ".leases") }, id, "download")
    if (!("heldBy" in lease)) return lease
    if (!told) onEvent({ _tag: "Waiting", name, owner: `process ${lease.heldBy.pid} on ${lease.heldBy.host}` })
    await sleep(100 + Math.random() * 100)
  }
}

const refuseFullDisk = async (name: HubName, folder: string, needed: number): Promise<void> => {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize >= needed) return
  throw new EnvironmentError({
    message: `no space for ${name.text}: ${bytes(needed)} are still to come, ${bytes(bavail * bsize)} are free`,
    where: folder,
    hint: "free some space, or keep models on another disk: ANNEAL_HUB_CACHE=<folder>"
  })
}
