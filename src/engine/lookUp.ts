// What the store has under a key, with its outputs checked: an object that is gone or changed is never served.
import { checkObject } from "#src/store/Objects.ts"
import type { Snapshot } from "#src/store/Catalog.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import type { Found } from "./Planner.ts"

/** `remember` lets the store note what it had to read again; without it nothing is written. */
export const lookUp = async (workspace: WorkspacePaths, snapshot: Snapshot, key: string, remember: boolean): Promise<Found | undefined> => {
  const entry = await snapshot.entry(key)
  if (entry === undefined) return undefined
  for (const output of entry.outputs) {
    const state = await checkObject(workspace, output.digest, remember)
    if (state !== "intact") return { entry, lost: { output: output.name, state } }
  }
  return { entry }
}
