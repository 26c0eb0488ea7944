// What a train stage leaves to the plan: its device, and the size of a micro-batch.
import type { PlannedInput, Settled } from "#src/domain/Pipeline.ts"
import { settleDevice } from "../device.ts"
import type { WrittenTrainConfig } from "./stage.ts"

/** @throws DefinitionError where no batch size can be told, whatever is downloaded; what the training would throw for its base's config.json */
export const settle = async (
  config: WrittenTrainConfig,
  inputs: Readonly<Record<string, PlannedInput>>,
  stage: string
): Promise<Settled> => {
  const { device, values } = settleDevice(config)
  if (config.batchSize !== "auto") return { values }
  // Builds graphs: loaded only where it is asked for.
  const { autoBatchSize } = await import("./autoBatchSize.ts")
  const found = await autoBatchSize({ ...config, device }, inputs, stage)
  if (found === undefined) return { values, open: ["batchSize"] }
  const { batchSize, warning } = found
  return { values: { batchSize, ...values }, ...(warning === undefined ? {} : { warning }) }
}
