// adapter_config.json of (IA)^3 (PEFT's IA3Config).
import * as Schema from "effect/Schema"
import type { JsonObject } from "../decode.ts"
import { commonFields, readFields } from "./fields.ts"

const Names = Schema.Array(Schema.NonEmptyString)

const Ia3Fields = Schema.Struct({
  ...commonFields,
  target_modules: Schema.NonEmptyArray(Schema.NonEmptyString),
  feedforward_modules: Schema.optionalKey(Schema.NullOr(Names))
})

export interface Ia3Config {
  readonly peftType: "IA3"
  /** Folder or name of the base. */
  readonly baseModel: string
  readonly targetModules: readonly string[]
  /** Those of the targets whose input is scaled instead of their output. */
  readonly feedforwardModules: readonly string[]
}

/** @throws DataError */
export const parseIa3 = (json: JsonObject, where: string): Ia3Config => {
  const fields = readFields(Ia3Fields, json, where, { init_ia3_weights: [true], fan_in_fan_out: [true] })
  return {
    peftType: "IA3",
    baseModel: fields.base_model_name_or_path ?? "",
    targetModules: fields.target_modules,
    feedforwardModules: fields.feedforward_modules ?? []
  }
}

export const ia3Json = (config: Ia3Config): JsonObject => ({
  fan_in_fan_out: false,
  feedforward_modules: config.feedforwardModules,
  init_ia3_weights: true,
  modules_to_save: null,
  target_modules: config.targetModules
})
