// validate: counts what is wrong with rows, passes them on unchanged, fails where a declared gate is not met.
import * as Schema from "effect/Schema"
import { Count, field, optional, Positive, Share } from "#src/domain/config.ts"
import { stageKind } from "#src/engine/define.ts"

export const ValidateConfig = Schema.Struct({
  minRows: field(Count, 1, "gate: at least this many rows"),
  maxEmptyShare: optional(Share, "gate: share of rows with an empty field (strip() is '') that must not be empty"),
  maxDuplicateShare: optional(Share, "gate: share of exact repetitions of an earlier row"),
  maxOutlierShare: optional(Share, "gate: share of rows longer than outlierFactor x the mean word count"),
  maxImbalance: optional(Positive, "gate, classification: largest class / smallest class"),
  outlierFactor: field(Positive, 3, "a row is a length outlier above this many times the mean word count")
})
export type ValidateConfig = typeof ValidateConfig.Type

export const validateKind = stageKind({
  kind: "validate",
  version: 1,
  config: ValidateConfig,
  inputs: { rows: "rows" },
  outputs: { rows: "rows", report: "report" },
  run: () => import("./run.ts")
})
