// adapter_config.json of LoRA (PEFT's LoraConfig).
import * as Schema from "effect/Schema"
import type { JsonObject } from "../decode.ts"
import { commonFields, readFields } from "./fields.ts"

const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))

const LoraFields = Schema.Struct({
  ...commonFields,
  r: PositiveInt,
  lora_alpha: Schema.Finite.check(Schema.isGreaterThan(0)),
  lora_dropout: Schema.optionalKey(Schema.Finite),
  target_modules: Schema.Union([Schema.Literal("all-linear"), Schema.NonEmptyArray(Schema.NonEmptyString)])
})

export interface LoraConfig {
  readonly peftType: "LORA"
  /** Folder or name of the base. */
  readonly baseModel: string
  readonly r: number
  readonly loraAlpha: number
  readonly loraDropout: number
  readonly targetModules: "all-linear" | readonly string[]
}

/** Values of other fields under which an adapter is what is read here. */
const neutral = { bias: ["none"], init_lora_weights: [true, "gaussian"], layers_pattern: [], megatron_core: [], qalora_group_size: [] }

/** @throws DataError */
export const parseLora = (json: JsonObject, where: string): LoraConfig => {
  const fields = readFields(LoraFields, json, where, neutral)
  return {
    peftType: "LORA",
    baseModel: fields.base_model_name_or_path ?? "",
    r: fields.r,
    loraAlpha: fields.lora_alpha,
    loraDropout: fields.lora_dropout ?? 0,
    targetModules: fields.target_modules
  }
}

export const loraJson = (config: LoraConfig): JsonObject => ({
  bias: "none",
  fan_in_fan_out: false,
  init_lora_weights: true,
  lora_alpha: config.loraAlpha,
  lora_dropout: config.loraDropout,
  modules_to_save: null,
  r: config.r,
  target_modules: config.targetModules
})
