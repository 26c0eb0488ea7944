// register: a model and its scores -> a new version in the registry, behind a gate.
import * as Schema from "effect/Schema"
import { field, required } from "#src/domain/config.ts"
import { stageKind } from "#src/engine/define.ts"

const Requirement = Schema.Union([
  Schema.Literal("better than baseline"),
  Schema.Struct({ min: Schema.optionalKey(Schema.Finite), max: Schema.optionalKey(Schema.Finite) })
])

export const RegisterConfig = Schema.Struct({
  name: required(
    Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9._-]*$/)),
    "name in the registry: lower-case letters, digits, dot, dash, underscore"
  ),
  aliases: field(
    Schema.Array(Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9._-]*$/))),
    ["latest"],
    "aliases moved to the new version"
  ),
  requires: field(
    Schema.Record(Schema.String, Requirement),
    {},
    'gate by metric: "better than baseline", or { min, max }; a model that fails is not registered'
  ),
  description: field(Schema.String, "", "a sentence for the model card")
})
export type RegisterConfig = typeof RegisterConfig.Type

export const registerKind = stageKind({
  kind: "register",
  version: 1,
  config: RegisterConfig,
  inputs: { model: "model", scores: "scores" },
  outputs: { registration: "registration" },
  run: () => import("./run.ts")
})
