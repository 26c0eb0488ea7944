// How rows and options fit the model: what cannot be is refused, what may surprise is said.
import { DataError, DefinitionError } from "#src/domain/Errors.ts"
import type { Model } from "#src/models/Model.ts"
import type { TrainConfig } from "./stage.ts"

/** What is worth a warning. `longest`: tokens of the longest row. @throws DataError where the model cannot read rows as long as these */
export const lengthWarnings = ({ config, positionLimit, modelType }: Model, longest: number): readonly string[] => {
  const most = config.max_position_embeddings
  if (positionLimit !== undefined && longest > positionLimit)
    throw new DataError({
      message: `rows of up to ${longest} tokens, but this ${modelType} model has ${positionLimit} positions`,
      where: "input train",
      why: "its positions are learned: there is none for a later token",
      hint: `set maxLength of the format stage to ${positionLimit} or less`
    })
  return longest > most ? [`rows of up to ${longest} tokens go beyond the model's max_position_embeddings, ${most}`] : []
}

/** `inFront`: places of the adapter; `maxLength`: of the rows. @throws DefinitionError where rows may have no room behind these */
export const checkRoom = ({ config }: Model, inFront: number, maxLength: number): void => {
  const most = config.max_position_embeddings - inFront
  if (inFront === 0 || maxLength <= most) return
  throw new DefinitionError({
    message: `numVirtualTokens ${inFront} and rows of up to ${maxLength} tokens go beyond the model's max_position_embeddings, ${config.max_position_embeddings}`,
    where: "train.method.numVirtualTokens",
    hint:
      most > 0 ? `set maxLength of the format stage to ${most} or less, or ask for fewer virtual tokens` : "ask for fewer virtual tokens"
  })
}

/** transformers takes these shares from the model's config; anneal from the stage's options, and says where they differ. */
export const dropoutNotes = (
  { dropout }: Model,
  { attentionDropout, residualDropout, embeddingDropout }: Pick<TrainConfig, "attentionDropout" | "residualDropout" | "embeddingDropout">
): readonly string[] => {
  const own = { attention: attentionDropout, residual: residualDropout, embedding: embeddingDropout }
  return (["attention", "residual", "embedding"] as const)
    .filter((site) => dropout[site] > 0 && dropout[site] !== own[site])
    .map((site) => `config.json names a dropout of ${dropout[site]} (${site}), this training uses ${site}Dropout: ${own[site]}`)
}
