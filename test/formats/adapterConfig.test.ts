// adapter_config.json: the smallest form is written, plain LoRA is read, everything else is refused by the name of its field.
import { expect, test } from "vitest"
import { formatAdapterConfig, parseAdapterConfig } from "#src/formats/adapterConfig.ts"

const config = {
  peftType: "LORA" as const,
  baseModel: "models/base",
  r: 4,
  loraAlpha: 16,
  loraDropout: 0.1,
  targetModules: ["q_proj", "v_proj"]
}
const written = JSON.parse(formatAdapterConfig(config)) as Record<string, unknown>
const parse = (change: object) => parseAdapterConfig(JSON.stringify({ ...written, ...change }), "adapter_config.json")

test("what is written reads back", () => {
  expect(parse({})).toEqual(config)
  expect(written["inference_mode"]).toBe(true)
})

test("fields of newer PEFT releases that change nothing are passed over", () => {
  const neutral = {
    use_dora: false,
    rank_pattern: {},
    alpha_pattern: {},
    layers_to_transform: null,
    peft_version: "0.21.2",
    megatron_core: "x"
  }
  expect(parse(neutral)).toEqual(config)
  expect(parse({ target_modules: "all-linear" })).toEqual({ ...config, targetModules: "all-linear" })
})

test("(IA)^3 has fields of its own", () => {
  const ia3 = {
    peftType: "IA3" as const,
    baseModel: "models/base",
    targetModules: ["k_proj", "down_proj"],
    feedforwardModules: ["down_proj"]
  }
  const text = formatAdapterConfig(ia3)
  expect(parseAdapterConfig(text, "adapter_config.json")).toEqual(ia3)
  const change = (fields: object) => () => parseAdapterConfig(JSON.stringify({ ...JSON.parse(text), ...fields }), "adapter_config.json")
  expect(change({ init_ia3_weights: false })()).toEqual(ia3)
  expect(change({ modules_to_save: ["lm_head"] })).toThrow(/^modules_to_save/)
  expect(change({ r: 4 })).toThrow(/^r: 4 is not supported/)
})

const refused: readonly (readonly [string, unknown])[] = [
  ["use_dora", true],
  ["use_rslora", true],
  ["fan_in_fan_out", true],
  ["bias", "lora_only"],
  ["lora_bias", true],
  ["modules_to_save", ["lm_head"]],
  ["rank_pattern", { q_proj: 2 }],
  ["alpha_pattern", { q_proj: 2 }],
  ["layers_to_transform", [0]],
  ["exclude_modules", "lm_head"],
  ["target_parameters", ["x"]],
  ["trainable_token_indices", [1]],
  ["init_lora_weights", "pissa"],
  ["a_field_of_a_later_release", 3],
  ["task_type", "SEQ_CLS"],
  ["peft_type", "LOHA"],
  ["peft_type", 3],
  ["target_modules", ".*q_proj"],
  ["target_modules", []],
  ["r", 0],
  ["lora_alpha", "16"]
]
test.each(refused)("%s %j is refused", (field, value) => {
  expect(() => parse({ [field]: value })).toThrow(new RegExp(`^${field}`))
})
