// `anneal plan <pipeline> --memory`: what each train stage will take, beside its limit, before anything runs.
import { bytes } from "#src/domain/bytes.ts"
import { isAnnealError } from "#src/domain/Errors.ts"
import { inputsOf } from "#src/engine/settle.ts"
import type { Prepared, PreparedStage } from "#src/engine/prepare.ts"
import { plural } from "#src/report/format.ts"
import { textTable } from "#src/report/table.ts"
import type { Theme } from "#src/report/Theme.ts"
import { objectPath } from "#src/store/Objects.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import type { PlannedMemory } from "#stages/train/planMemory.ts"

/** A stage's memory, or why it cannot be told. */
export type StageMemory = { readonly stage: string } & (
  | PlannedMemory
  | { readonly unknown: { readonly message: string; readonly why?: string; readonly hint?: string } }
)

/** Of the selected train stages, in order. */
export const memoryOf = async (workspace: WorkspacePaths, prepared: Prepared): Promise<readonly StageMemory[]> => {
  const { planMemory } = await import("#stages/train/planMemory.ts")
  const found: StageMemory[] = []
  for (const { stage, selected } of prepared.stages) {
    if (!selected || stage.kind.kind !== "train" || stage.kind.module !== undefined) continue
    const inputs = inputsOf(stage, prepared.pipeline, prepared.sources)
    const told = await planMemory(stage.config as never, inputs, storedTokens(workspace, prepared, stage)).catch((error: unknown) => {
      if (!isAnnealError(error)) throw error
      const { message, why, hint } = error
      return { unknown: { message, ...(why === undefined ? {} : { why }), ...(hint === undefined ? {} : { hint }) } }
    })
    found.push({ stage: stage.id, ...told })
  }
  return found
}

/** Where all of a stage's tokens lie; undefined while one of them is still to be made. */
const storedTokens = (workspace: WorkspacePaths, { stages }: Prepared, { inputs }: PreparedStage["stage"]) => {
  const pathOf = (name: string): string | undefined => {
    const ref = inputs[name]
    const producer = stages.find(({ stage }) => stage.id === ref?.stage)
    const output = producer?.reuse?.outputs.find((one) => one.name === ref?.output)
    return output === undefined ? undefined : objectPath(workspace, output.digest)
  }
  const [train, validation] = [pathOf("train"), pathOf("validation")]
  if (train === undefined || (inputs["validation"] !== undefined && validation === undefined)) return undefined
  return { train, validation }
}

const rowsText = ({ rows }: PlannedMemory): string =>
  rows.kind === "known"
    ? `from the stored rows: ${plural(rows.train, "row")} to train on${rows.validation === 0 ? "" : `, ${rows.validation} to validate with`}`
    : `at most: the rows are not there yet, each may have ${rows.maxLength} tokens (maxLength of the format stage)`

/** What `plan --memory` prints of one stage. */
const memoryText = async (theme: Theme, memory: StageMemory): Promise<readonly string[]> => {
  const name = theme.paint("bold", memory.stage)
  if ("unknown" in memory) {
    const { message, why, hint } = memory.unknown
    return [
      `${name}  cannot be told: ${message}`,
      ...(why === undefined ? [] : [`  why: ${why}`]),
      ...(hint === undefined ? [] : [`  try: ${hint}`])
    ]
  }
  const { settingsLine } = await import("#stages/train/memoryLimit.ts")
  const { fits, limit, settings, bytes: parts } = memory
  const verdict = fits ? theme.paint("green", "fits") : theme.paint("red", "does not fit")
  const { total, ...others } = parts
  const table = textTable({
    header: ["", "memory"],
    numeric: [1],
    rows: [...Object.entries(others).filter(([, count]) => count > 0), ["total", total] as const].map(([part, count]) => [
      part,
      bytes(count)
    ])
  })
  return [
    `${name}  ${bytes(total)} of ${bytes(limit.bytes)} (${limit.own ? "memoryLimit" : "this machine"}): ${verdict}`,
    `  ${rowsText(memory)}`,
    ...(fits ? [] : [`  ${settingsLine(settings)}`]),
    ...table.split("\n").map((line) => `  ${line}`)
  ]
}

export const memoryTexts = async (theme: Theme, stages: readonly StageMemory[]): Promise<string> => {
  if (stages.length === 0) return "memory: none of these stages trains"
  return (await Promise.all(stages.map((stage) => memoryText(theme, stage)))).map((lines) => lines.join("\n")).join("\n\n")
}
