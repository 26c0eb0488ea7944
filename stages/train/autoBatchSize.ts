// batchSize: "auto": the largest micro-batch whose forecast is within the limit, however long the rows turn out to be. From the bound
// even where the rows are stored, so that the key does not depend on what was run before.
import { bytes } from "#src/domain/bytes.ts"
import { DefinitionError } from "#src/domain/Errors.ts"
import { kindOf } from "../device.ts"
import { forecastOf } from "./forecast.ts"
import { limitOf } from "./memoryLimit.ts"
import { boundOf, type PlannedInputs, subjectOf } from "./planned.ts"
import type { TrainConfig, WrittenTrainConfig } from "./stage.ts"

/** Rows. Beyond it a CPU gains no speed, and a step would have so many rows that few steps are left. */
export const largestAuto = 32

export interface AutoBatchSize {
  readonly batchSize: number
  readonly warning?: string
}

/**
 * Undefined while the base is not here.
 * @throws DefinitionError where it cannot be told at all; what the training would throw for its base and method
 */
export const autoBatchSize = async (
  config: WrittenTrainConfig & Pick<TrainConfig, "device">,
  inputs: PlannedInputs,
  stage: string
): Promise<AutoBatchSize | undefined> => {
  const where = `${stage}.batchSize`
  const hint = "give batchSize a number"
  if (kindOf(config.device) !== "cpu")
    throw new DefinitionError({
      message: `batchSize "auto" goes with device: "cpu" only`,
      where,
      why: "what fits the memory of a GPU is not forecast",
      hint
    })
  const bound = boundOf(inputs)
  if (bound === undefined)
    throw new DefinitionError({
      message: 'batchSize "auto" needs to know how long a row may be',
      where,
      why: `the tokens come from ${inputs["train"]?.producer?.id ?? "elsewhere"}, which is no format stage and names no maxLength`,
      hint
    })
  const base = inputs["base"]?.path
  if (base === undefined) return undefined
  const subject = await subjectOf(config, base, bound)
  const limit = limitOf(config).bytes
  const totalOf = (batchSize: number): number => forecastOf({ ...config, batchSize }, subject).total
  for (let batchSize = largestAuto; batchSize >= 1; batchSize /= 2) if (totalOf(batchSize) <= limit) return { batchSize }
  const warning = `batchSize is 1, and the longest rows might still not fit: about ${bytes(totalOf(1))} of ${bytes(limit)}; see: anneal plan <pipeline> --memory`
  return { batchSize: 1, warning }
}
