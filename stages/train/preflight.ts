// What is checked before any work: that the tokens belong to the model and that there is something to train on.
import { pickRows, rowCount, rowSizes, type TokenRows } from "#src/batching/rows.ts"
import { DataError, DefinitionError } from "#src/domain/Errors.ts"
import type { TokensTable } from "#src/store/tokens.ts"
import type { TrainConfig } from "./stage.ts"

export interface Part {
  readonly ids: readonly string[]
  readonly rows: TokenRows
  /** Rows without a trained token: they would change nothing and are left out. */
  readonly leftOut: number
}

/** The rows that have something to train. @throws DataError where an id is outside the vocabulary or no token is trained */
export const checkedPart = (name: string, table: TokensTable, vocabSize: number): Part => {
  checkVocabulary(name, table, vocabSize)
  const { targets } = rowSizes(table)
  const keep = [...targets.keys()].filter((row) => (targets[row] as number) > 0)
  if (keep.length === 0)
    throw new DataError({
      message: `no token of the ${name} part is trained on`,
      where: `input ${name}, ${rowCount(table)} rows`,
      why: "the answers are empty, or maxLength cuts them off behind long prompts",
      hint: "raise maxLength of the format stage, or set its trainOnPrompt"
    })
  return { ids: keep.map((row) => table.ids[row] as string), rows: pickRows(table, keep), leftOut: rowCount(table) - keep.length }
}

const checkVocabulary = (name: string, table: TokensTable, vocabSize: number): void => {
  const at = table.tokens.findIndex((token) => token < 0 || token >= vocabSize)
  if (at < 0) return
  const row = table.offsets.findIndex((offset) => offset > at) - 1
  throw new DataError({
    message: `token id ${table.tokens[at]} does not exist in the model, whose vocab_size is ${vocabSize}`,
    where: `input ${name}, row ${table.ids[row]}, token ${at - (table.offsets[row] as number)}`,
    why: `the rows were tokenised for a vocabulary of ${table.meta.vocabSize}`,
    hint: "give format and train the same base model"
  })
}

/** @throws DefinitionError where an option needs a validation part and there is none */
export const checkOptions = (config: TrainConfig, hasValidation: boolean): void => {
  for (const field of ["earlyStoppingPatience", "evalSteps"] as const) {
    if (config[field] === undefined || hasValidation) continue
    throw new DefinitionError({
      message: `${field} is set, but there is no validation part`,
      where: `train.${field}`,
      hint: "wire the validation output of the format stage into train, or leave the option out"
    })
  }
}
