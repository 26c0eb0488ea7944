// adapter_config.json of PEFT. Written with the smallest set of fields, because older PEFT releases refuse unknown ones;
// read field by field: what anneal does not know or cannot do is refused and never left out silently.
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { decodeObject, parseObject } from "./decode.ts"

const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))

const AdapterFields = Schema.Struct({
  peft_type: Schema.Literal("LORA"),
  task_type: Schema.optionalKey(Schema.NullOr(Schema.Literal("CAUSAL_LM"))),
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

/** Fields of PEFT's LoraConfig that never change what the saved tensors compute. */
const withoutEffect = new Set([
  "auto_mapping",
  "revision",
  "peft_version",
  "inference_mode",
  "layers_pattern",
  "megatron_core",
  "qalora_group_size"
])

/** Values of the remaining fields, besides false, null and empty ones, under which an adapter is plain LoRA. */
const plain: Readonly<Record<string, readonly unknown[]>> = { bias: ["none"], init_lora_weights: [true, "gaussian"] }

const isOff = (value: unknown): boolean =>
  value === null || value === false || (typeof value === "object" && Object.keys(value).length === 0)

/** @throws DataError naming the field that is wrong or asks for something that anneal does not do */
export const parseAdapterConfig = (text: string, where: string): AdapterConfig => {
  const json = parseObject(text, where)
  const fields = decodeObject(AdapterFields, json, where)
  for (const [field, value] of Object.entries(json)) {
    if (field in AdapterFields.fields || withoutEffect.has(field) || isOff(value) || plain[field]?.includes(value)) continue
    throw new DataError({
      message: `${field}: ${JSON.stringify(value)} is not supported`,
      where,
      why: "anneal reads plain LoRA adapters: one rank and scale for all target modules, no bias, nothing else saved",
      hint: "merge the adapter into its base model with PEFT and use that folder"
    })
  }
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
