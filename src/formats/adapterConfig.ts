// adapter_config.json of PEFT. Written with the smallest set of fields, because older PEFT releases refuse unknown ones;
// read with every field that would change the result, so that what anneal cannot do is refused and never left out silently.
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { decodeObject, parseObject } from "./decode.ts"

const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))

const AdapterFields = Schema.Struct({
  peft_type: Schema.Literal("LORA"),
  task_type: Schema.optionalKey(Schema.NullOr(Schema.String)),
  base_model_name_or_path: Schema.optionalKey(Schema.NullOr(Schema.String)),
  r: PositiveInt,
  lora_alpha: Schema.Finite.check(Schema.isGreaterThan(0)),
  lora_dropout: Schema.optionalKey(Schema.Finite),
  target_modules: Schema.Union([Schema.Literal("all-linear"), Schema.NonEmptyArray(Schema.NonEmptyString)])
})

export interface AdapterConfig {
  readonly baseModel: string
  readonly r: number
  readonly loraAlpha: number
  readonly loraDropout: number
  readonly targetModules: "all-linear" | readonly string[]
}

/** Fields of PEFT's LoraConfig that change the result, each with the values under which it does not. */
const neutral: Readonly<Record<string, readonly unknown[]>> = {
  bias: ["none"],
  lora_bias: [false],
  use_dora: [false],
  use_rslora: [false],
  use_qalora: [false],
  use_bdlora: [null, false],
  fan_in_fan_out: [false],
  modules_to_save: [null],
  layers_to_transform: [null],
  layers_pattern: [null],
  layer_replication: [null],
  exclude_modules: [null],
  target_parameters: [null],
  trainable_token_indices: [null],
  alora_invocation_tokens: [null],
  arrow_config: [null]
}

const isEmpty = (value: unknown): boolean => typeof value === "object" && value !== null && Object.keys(value).length === 0

/** @throws DataError naming the field that is wrong or asks for something that anneal does not do */
export const parseAdapterConfig = (text: string, where: string): AdapterConfig => {
  const json = parseObject(text, where)
  for (const field of ["rank_pattern", "alpha_pattern", ...Object.keys(neutral)]) {
    const value = json[field]
    if (value === undefined || value === null || isEmpty(value) || neutral[field]?.includes(value)) continue
    throw new DataError({
      message: `${field}: ${JSON.stringify(value)} is not supported`,
      where,
      why: "anneal reads plain LoRA adapters: one rank and scale for all target modules, no bias, nothing else saved",
      hint: "merge the adapter into its base model with PEFT and use that folder"
    })
  }
  const fields = decodeObject(AdapterFields, json, where)
  return {
    baseModel: fields.base_model_name_or_path ?? "",
    r: fields.r,
    loraAlpha: fields.lora_alpha,
    loraDropout: fields.lora_dropout ?? 0,
    targetModules: fields.target_modules
  }
}

/** Text of the file; `inference_mode` is true on disk, as PEFT writes it. */
export const formatAdapterConfig = (config: AdapterConfig & { readonly targetModules: readonly string[] }): string =>
  `${JSON.stringify(
    {
      base_model_name_or_path: config.baseModel,
      bias: "none",
      fan_in_fan_out: false,
      inference_mode: true,
      init_lora_weights: true,
      lora_alpha: config.loraAlpha,
      lora_dropout: config.loraDropout,
      modules_to_save: null,
      peft_type: "LORA",
      r: config.r,
      target_modules: config.targetModules,
      task_type: "CAUSAL_LM"
    },
    null,
    2
  )}\n`
