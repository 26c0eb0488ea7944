// What an evaluate stage leaves to the plan: the device.
import type { Settled } from "#src/domain/Pipeline.ts"
import { settleDevice } from "../device.ts"
import type { WrittenEvaluateConfig } from "./stage.ts"

export const settle = (config: WrittenEvaluateConfig): Settled => ({ values: settleDevice(config).values })
