// A finished stage's outputs become objects: checked, flushed, digested, moved under their digest.
import { existsSync } from "node:fs"
import type { OutputRecord } from "#src/domain/Artifact.ts"
import { StageError } from "#src/domain/Errors.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import { publishObject } from "./Objects.ts"
import { outputPath } from "./Work.ts"
import type { WorkspacePaths } from "./Workspace.ts"

/**
 * @param outputs output name -> artifact kind, as the stage declares them
 * Errors: StageError where a declared output was not written; Node's for the disk.
 */
export const publishOutputs = async (
  workspace: WorkspacePaths,
  stage: string,
  workDir: string,
  outputs: Readonly<Record<string, string>>,
  rows: StageResult["rows"] = {}
): Promise<readonly OutputRecord[]> => {
  const missing = Object.keys(outputs).find((name) => !existsSync(outputPath(workDir, name)))
  if (missing !== undefined) {
    throw new StageError({
      message: `it ended without writing its output ${missing}`,
      where: `stage ${stage}`,
      hint: `write a file or folder to context.output("${missing}")`
    })
  }
  const records: OutputRecord[] = []
  for (const [name, kind] of Object.entries(outputs)) {
    const { digest, bytes } = await publishObject(workspace, outputPath(workDir, name), `stage ${stage}, output ${name}`)
    const count = rows[name]
    records.push({ name, kind, digest, bytes, ...(count === undefined ? {} : { rows: count }) })
  }
  return records
}
