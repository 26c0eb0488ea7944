// evaluate: a model's figures on held-out tokens, beside those of the untouched base on the same rows.
import * as Schema from "effect/Schema"
import { Count, field, optional, PositiveInt } from "#src/domain/config.ts"
import { stageKind } from "#src/engine/define.ts"
import { Device, environmentOf, kindOf, type NamedDevice } from "../device.ts"
import { runtimeFacts } from "../facts.ts"

export const Metric = Schema.Literals(["perplexity", "tokenAccuracy", "exactMatch"])

export const EvaluateConfig = Schema.Struct({
  metrics: field(
    Schema.NonEmptyArray(Metric),
    ["perplexity", "tokenAccuracy"],
    "perplexity (token-weighted), tokenAccuracy, exactMatch (greedy generation against the row's reference answer)"
  ),
  batchSize: field(PositiveInt, 16, "rows scored or generated at a time"),
  maxNewTokens: field(PositiveInt, 128, "exactMatch: longest answer generated"),
  maxRows: optional(PositiveInt, "exactMatch: use the first so many rows only"),
  samples: field(Count, 3, "before/after answers kept in the report"),
  dtype: field(Schema.Literals(["float32"]), "float32", "precision of the computation"),
  device: field(Device, "auto", 'as in train: "cpu", "cuda" or "webgpu", "auto" settled by the plan; the kind stands in the key')
})
export type WrittenEvaluateConfig = typeof EvaluateConfig.Type
/** As the stage is given it. */
export type EvaluateConfig = WrittenEvaluateConfig & { readonly device: NamedDevice }

export const evaluateKind = stageKind({
  kind: "evaluate",
  version: 4,
  config: EvaluateConfig,
  inputs: { model: "model", tokens: "tokens", baseline: "base" },
  outputs: { scores: "scores" },
  executionOnly: ["device"],
  settle: () => import("./settle.ts"),
  facts: ({ device, dtype }: EvaluateConfig) => runtimeFacts({ device: kindOf(device), dtype }),
  isolate: true,
  environment: ({ device }: EvaluateConfig) => environmentOf(device),
  run: () => import("./run.ts")
})
