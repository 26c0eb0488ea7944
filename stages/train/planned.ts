// What is known of a training before anything has run: the model of its base, and how long its rows are, or may be.
import type { PlannedInput } from "#src/domain/Pipeline.ts"
import { rowSizes } from "#src/batching/rows.ts"
import { loadConfig, loadModel } from "#src/models/load.ts"
import type { Model } from "#src/models/Model.ts"
import { tuningOf } from "#src/runtime/Tuning.ts"
import { readTokens } from "#src/store/tokens.ts"
import type { FormatConfig } from "../format/stage.ts"
import { checkRoom } from "./fit.ts"
import type { Bound, Rows, Subject } from "./forecast.ts"
import { checkedPart, type Part } from "./preflight.ts"
import type { WrittenTrainConfig } from "./stage.ts"

export type PlannedInputs = Readonly<Record<string, PlannedInput>>

/** Undefined where the tokens come from a stage that names no maxLength. */
export const boundOf = ({ train, validation }: PlannedInputs): Bound | undefined => {
  const [maxLength, ofValidation] = [maxLengthOf(train), maxLengthOf(validation)]
  if (maxLength === undefined || (validation !== undefined && ofValidation === undefined)) return undefined
  return { kind: "bound", maxLength, validation: ofValidation }
}

const maxLengthOf = (input: PlannedInput | undefined): number | undefined =>
  input?.producer?.builtin?.kind === "format" ? (input.producer.builtin.config as FormatConfig).maxLength : undefined

/** Files of stored tokens. */
export interface StoredTokens {
  readonly train: string
  readonly validation?: string | undefined
}

export const rowsOf = (train: Part, validation: Part | undefined): Rows => ({
  kind: "known",
  train: rowSizes(train.rows),
  ids: train.ids,
  validation: validation && rowSizes(validation.rows)
})

const readRows = async ({ train, validation }: StoredTokens, { vocabSize }: Model): Promise<Rows> => {
  const read = async (name: string, path: string): Promise<Part> => checkedPart(name, await readTokens(path), vocabSize)
  return rowsOf(await read("train", train), validation === undefined ? undefined : await read("validation", validation))
}

/** From the base's config.json and the heads of its files; no weight is read. @throws what the training itself would throw for them */
export const subjectOf = async (config: WrittenTrainConfig, base: string, rows: Bound | StoredTokens): Promise<Subject> => {
  const read = config.initialWeights === "random" ? { model: await loadConfig(base) } : await loadModel(base)
  if (!("kind" in rows)) return { ...read, rows: await readRows(rows, read.model) }
  const { adapter } = tuningOf(read.model, config.method, config.learningRate)
  checkRoom(read.model, adapter?.numVirtualTokens ?? 0, Math.max(rows.maxLength, rows.validation ?? 0))
  return { ...read, rows }
}
