// adapter_config.json of LoRA (PEFT's LoraConfig).
import * as Schema from "effect/Schema"
import type { JsonObject } from "../decode.ts"
import { commonFields, filled, given, orNull, readFields } from "./fields.ts"

const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const Layer = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Names = Schema.Array(Schema.NonEmptyString)

const LoraFields = Schema.Struct({
  ...commonFields,
  r: PositiveInt,
  lora_alpha: Positive,
  lora_dropout: Schema.optionalKey(Schema.Finite),
  bias: Schema.optionalKey(Schema.Literals(["none", "all", "lora_only"])),
  target_modules: Schema.Union([Schema.NonEmptyString, Schema.NonEmptyArray(Schema.NonEmptyString)]),
  exclude_modules: orNull(Schema.Union([Schema.String, Names])),
  rank_pattern: orNull(Schema.Record(Schema.String, PositiveInt)),
  alpha_pattern: orNull(Schema.Record(Schema.String, Positive)),
  layers_to_transform: orNull(Schema.Union([Layer, Schema.Array(Layer)])),
  layers_pattern: orNull(Schema.Union([Schema.String, Names])),
  modules_to_save: orNull(Names),
  ensure_weight_tying: orNull(Schema.Boolean),
  use_rslora: orNull(Schema.Boolean),
  use_dora: orNull(Schema.Boolean),
  fan_in_fan_out: orNull(Schema.Boolean)
})

export interface LoraConfig {
  readonly peftType: "LORA"
  /** Folder or name of the base. */
  readonly baseModel: string
  readonly r: number
  readonly loraAlpha: number
  readonly loraDropout: number
  readonly bias: "none" | "all" | "lora_only"
  /** Names, "all-linear", or a regular expression for whole paths. */
  readonly targetModules: string | readonly string[]
  readonly excludeModules?: string | readonly string[]
  readonly rankPattern: Readonly<Record<string, number>>
  readonly alphaPattern: Readonly<Record<string, number>>
  readonly layersToTransform?: readonly number[]
  readonly layersPattern?: readonly string[]
  readonly modulesToSave?: readonly string[]
  /** A tied head and embedding among modulesToSave stay one tensor. */
  readonly ensureWeightTying: boolean
  readonly initLoraWeights: boolean | "gaussian"
  readonly useRslora: boolean
  readonly useDora: boolean
  /** Some adapted weights are stored [in, out] (GPT-2). */
  readonly fanInFanOut: boolean
}

/**
 * Values of other fields under which an adapter is what is read here. Initialisations that take something out of the base's
 * weights (pissa, olora, corda, lora_ga, loftq) are none of them: PEFT takes it out again when it loads the adapter.
 */
const neutral = {
  init_lora_weights: [true, "gaussian", "eva", "orthogonal"],
  eva_config: [],
  megatron_core: [],
  qalora_group_size: []
}

/** @throws DataError */
export const parseLora = (json: JsonObject, where: string): LoraConfig => {
  const fields = readFields(LoraFields, json, where, neutral)
  const { layers_to_transform: layers, layers_pattern: pattern, exclude_modules: excluded } = fields
  const init = json["init_lora_weights"]
  return {
    peftType: "LORA",
    baseModel: fields.base_model_name_or_path ?? "",
    r: fields.r,
    loraAlpha: fields.lora_alpha,
    loraDropout: fields.lora_dropout ?? 0,
    bias: fields.bias ?? "none",
    targetModules: fields.target_modules,
    ...given("excludeModules", typeof excluded === "string" ? excluded || undefined : filled(excluded)),
    rankPattern: fields.rank_pattern ?? {},
    alphaPattern: fields.alpha_pattern ?? {},
    ...given("layersToTransform", typeof layers === "number" ? [layers] : filled(layers)),
    ...given("layersPattern", typeof pattern === "string" ? filled([pattern].filter((text) => text !== "")) : filled(pattern)),
    ...given("modulesToSave", filled(fields.modules_to_save)),
    ensureWeightTying: fields.ensure_weight_tying ?? false,
    initLoraWeights: init === false || init === "gaussian" ? init : true,
    useRslora: fields.use_rslora ?? false,
    useDora: fields.use_dora ?? false,
    fanInFanOut: fields.fan_in_fan_out ?? false
  }
}

/** Fields of later PEFT releases are written only where they say something. */
export const loraJson = (config: LoraConfig): JsonObject => ({
  bias: config.bias,
  fan_in_fan_out: config.fanInFanOut,
  init_lora_weights: config.initLoraWeights,
  lora_alpha: config.loraAlpha,
  lora_dropout: config.loraDropout,
  modules_to_save: config.modulesToSave ?? null,
  r: config.r,
  target_modules: config.targetModules,
  ...given("exclude_modules", config.excludeModules),
  ...given("layers_to_transform", config.layersToTransform),
  ...given("layers_pattern", config.layersPattern),
  ...(Object.keys(config.rankPattern).length > 0 ? { rank_pattern: config.rankPattern } : {}),
  ...(Object.keys(config.alphaPattern).length > 0 ? { alpha_pattern: config.alphaPattern } : {}),
  ...(config.ensureWeightTying ? { ensure_weight_tying: true } : {}),
  ...(config.useRslora ? { use_rslora: true } : {}),
  ...(config.useDora ? { use_dora: true } : {})
})
