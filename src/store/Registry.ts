// Version numbers of registered models, and the alias moves that people make by hand (those of runs stand in their journals).
import { appendFileSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { AliasMoved } from "#src/domain/RunEvent.ts"
import { makeFolder } from "./makeFolder.ts"
import { readJournal } from "./Journal.ts"
import { namesIn } from "./Work.ts"
import type { WorkspacePaths } from "./Workspace.ts"

/** Journal of alias moves made by hand: artifacts/registry/aliases.jsonl. */
export const aliasJournal = (workspace: WorkspacePaths): string => join(workspace.registry, "aliases.jsonl")

const keyOf = (path: string): string | undefined => {
  try {
    return (JSON.parse(readFileSync(path, "utf8")) as { readonly key: string }).key
  } catch {
    return undefined
  }
}

/**
 * The version number for the registration `key` under `name`: the one it got before, or the next (1, 2, 3 …), reserved by a
 * file that only one process can create. An attempt that fails afterwards gets the same number when it is run again.
 */
export const reserveVersion = (workspace: WorkspacePaths, name: string, key: string): number => {
  const folder = join(workspace.registry, "versions", name)
  makeFolder(folder)
  for (;;) {
    const versions = namesIn(folder).map((file) => Number.parseInt(file, 10))
    const mine = versions.find((version) => keyOf(join(folder, `${version}.json`)) === key)
    if (mine !== undefined) return mine
    const next = Math.max(0, ...versions) + 1
    try {
      writeFileSync(join(folder, `${next}.json`), JSON.stringify({ key }), { flag: "wx" })
      return next
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
    }
  }
}

/** Notes an alias move that no run made. */
export const noteAlias = (workspace: WorkspacePaths, name: string, alias: string, version: number): typeof AliasMoved.Type => {
  makeFolder(workspace.registry)
  const path = aliasJournal(workspace)
  const event = {
    _tag: "AliasMoved",
    v: 1,
    seq: readJournal(path).length,
    time: new Date().toISOString(),
    run: "",
    name,
    alias,
    version
  } as const
  appendFileSync(path, `${JSON.stringify(event)}\n`)
  return event
}
