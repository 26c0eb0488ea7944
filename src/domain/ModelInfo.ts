// anneal.json of a trained model folder: how the model came about and what is needed to use it again. Deterministic facts
// only (no times), because the file is part of the folder's digest.
import * as Schema from "effect/Schema"
import { TokensMeta } from "./Tokens.ts"

/** Where a base model was downloaded from. */
export const HubCommit = Schema.Struct({
  /** "org/name" */
  repo: Schema.String,
  commit: Schema.String
})
export type HubCommit = typeof HubCommit.Type

export const ModelInfo = Schema.Struct({
  version: Schema.Literal(1),
  /** "full": the folder is a whole model; else the training method whose adapter over `base` it holds, e.g. "lora". */
  method: Schema.NonEmptyString,
  /** Path relative to the workspace where it lies inside, else absolute; "sha256:<hex>" of the folder. */
  base: Schema.Struct({ path: Schema.String, digest: Schema.String, hub: Schema.optionalKey(HubCommit) }),
  /** The base's linear layers were held in 4 bits while training, quantised like this. Absent: they were as the base has them. */
  quantization: Schema.optionalKey(
    Schema.Struct({ quantType: Schema.Literals(["nf4", "fp4"]), doubleQuant: Schema.Boolean, blockSize: Schema.Int })
  ),
  /** How the training rows were turned into tokens, so that prompts are built the same way. */
  tokens: TokensMeta,
  /** The train stage's decoded config. */
  config: Schema.Json,
  /** Digests of the tokens artifacts. */
  data: Schema.Struct({
    train: Schema.String,
    validation: Schema.optionalKey(Schema.String),
    /** Of the adapter that training went on from. */
    adapter: Schema.optionalKey(Schema.String)
  }),
  parameters: Schema.Struct({ trainable: Schema.Int, total: Schema.Int }),
  /** Optimizer steps made, and the step whose weights these are. */
  steps: Schema.Int,
  modelStep: Schema.Int,
  metrics: Schema.Record(Schema.String, Schema.Finite)
})
export type ModelInfo = typeof ModelInfo.Type

/** The base as other tools name it: on the hub where it came from there, else its folder. */
export const baseName = ({ hub, path }: ModelInfo["base"]): string => hub?.repo ?? path

/** Name of the file inside a model folder. */
export const modelInfoFile = "anneal.json"
