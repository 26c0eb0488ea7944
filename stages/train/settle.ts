// What a train stage leaves to the plan: its device, and the size of a micro-batch.
import type { PlannedInput, Settled } from "#src/domain/Pipeline.ts"
import { optimizerOf } from "#src/runtime/TrainerOptions.ts"
import { settleDevice } from "../device.ts"
import type { WrittenTrainConfig } from "./stage.ts"

/** Only on the CPU is memory forecast, and are weights at hand that adafactor's rates depend on. */
const needsCpu = (config: WrittenTrainConfig): boolean => {
  const optimizer = optimizerOf(config)
  return config.batchSize === "auto" || (optimizer.kind === "adafactor" && optimizer.scaleParameter)
}

/** @throws DefinitionError where no batch size can be told, whatever is downloaded; what the training would throw for its base's config.json */
export const settle = async (
  config: WrittenTrainConfig,
  inputs: Readonly<Record<string, PlannedInput>>,
  stage: string
): Promise<Settled> => {
  const { device, values } = settleDevice(config, needsCpu(config))
  if (config.batchSize !== "auto") return { values }
  // Builds graphs: loaded only where it is asked for.
  const { autoBatchSize } = await import("./autoBatchSize.ts")
  const found = await autoBatchSize({ ...config, device }, inputs, stage)
  if (found === undefined) return { values, open: ["batchSize"] }
  const { batchSize, warning } = found
  return { values: { batchSize, ...values }, ...(warning === undefined ? {} : { warning }) }
}
