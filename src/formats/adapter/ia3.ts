// adapter_config.json of (IA)^3 (PEFT's IA3Config).
import * as Schema from "effect/Schema"
import type { JsonObject } from "../decode.ts"
import { commonFields, filled, given, orNull, readFields } from "./fields.ts"

const Names = Schema.Array(Schema.NonEmptyString)

const Ia3Fields = Schema.Struct({
  ...commonFields,
  target_modules: Schema.Union([Schema.NonEmptyString, Schema.NonEmptyArray(Schema.NonEmptyString)]),
  feedforward_modules: orNull(Schema.Union([Schema.String, Names])),
  exclude_modules: orNull(Schema.Union([Schema.String, Names])),
  modules_to_save: orNull(Names),
  fan_in_fan_out: orNull(Schema.Boolean)
})

export interface Ia3Config {
  readonly peftType: "IA3"
  /** Folder or name of the base. */
  readonly baseModel: string
  /** Names, or a regular expression for whole paths; as all of the following. */
  readonly targetModules: string | readonly string[]
  /** Those of the targets whose input is scaled instead of their output. */
  readonly feedforwardModules: string | readonly string[]
  readonly excludeModules?: string | readonly string[]
  readonly modulesToSave?: readonly string[]
  /** Some adapted weights are stored [in, out] (GPT-2). */
  readonly fanInFanOut: boolean
}

/** @throws DataError */
export const parseIa3 = (json: JsonObject, where: string): Ia3Config => {
  const fields = readFields(Ia3Fields, json, where, { init_ia3_weights: [true] })
  const excluded = fields.exclude_modules
  return {
    peftType: "IA3",
    baseModel: fields.base_model_name_or_path ?? "",
    targetModules: fields.target_modules,
    feedforwardModules: fields.feedforward_modules ?? [],
    ...given("excludeModules", typeof excluded === "string" ? excluded || undefined : filled(excluded)),
    ...given("modulesToSave", filled(fields.modules_to_save)),
    fanInFanOut: fields.fan_in_fan_out ?? false
  }
}

export const ia3Json = (config: Ia3Config): JsonObject => ({
  fan_in_fan_out: config.fanInFanOut,
  feedforward_modules: config.feedforwardModules,
  init_ia3_weights: true,
  modules_to_save: config.modulesToSave ?? null,
  target_modules: config.targetModules,
  ...given("exclude_modules", config.excludeModules)
})
