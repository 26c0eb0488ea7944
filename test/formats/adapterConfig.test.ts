// adapter_config.json: the smallest form is written, PEFT's fields are read, what would compute something else is refused by name.
import { expect, test } from "vitest"
import type { LoraConfig } from "#src/formats/adapter/lora.ts"
import { formatAdapterConfig, parseAdapterConfig } from "#src/formats/adapterConfig.ts"

const config: LoraConfig = {
  peftType: "LORA",
  baseModel: "models/base",
  r: 4,
  loraAlpha: 16,
  loraDropout: 0.1,
  bias: "none",
  targetModules: ["q_proj", "v_proj"],
  rankPattern: {},
  alphaPattern: {},
  ensureWeightTying: false,
  initLoraWeights: true,
  useRslora: false,
  useDora: false,
  fanInFanOut: false
}
const json = (of: LoraConfig) => JSON.parse(formatAdapterConfig(of)) as Record<string, unknown>
const written = json(config)
const parse = (change: object) => parseAdapterConfig(JSON.stringify({ ...written, ...change }), "adapter_config.json")

test("what is written reads back", () => {
  expect(parse({})).toEqual(config)
  expect(written["inference_mode"]).toBe(true)
  const all: LoraConfig = {
    ...config,
    bias: "lora_only",
    excludeModules: ".*0.*",
    rankPattern: { q_proj: 2 },
    alphaPattern: { v_proj: 8.5 },
    layersToTransform: [0, 2],
    layersPattern: ["layers"],
    modulesToSave: ["lm_head"],
    ensureWeightTying: true,
    initLoraWeights: "gaussian",
    useRslora: true,
    useDora: true,
    fanInFanOut: true
  }
  expect(parseAdapterConfig(formatAdapterConfig(all), "adapter_config.json")).toEqual(all)
})

test("fields of newer PEFT releases stand in the file only where they say something: older ones refuse unknown fields", () => {
  const plain = Object.keys(written)
  for (const field of ["use_dora", "use_rslora", "rank_pattern", "layers_pattern", "exclude_modules", "ensure_weight_tying"])
    expect(plain).not.toContain(field)
  expect(json({ ...config, useDora: true })["use_dora"]).toBe(true)
})

test("fields that change nothing are passed over, PEFT's other spellings are read", () => {
  const neutral = {
    use_dora: false,
    rank_pattern: {},
    layers_to_transform: null,
    peft_version: "0.21.2",
    megatron_core: "x",
    layers_pattern: ""
  }
  expect(parse(neutral)).toEqual(config)
  expect(parse({ target_modules: "all-linear" })).toEqual({ ...config, targetModules: "all-linear" })
  expect(parse({ layers_to_transform: 1, layers_pattern: "h" })).toEqual({ ...config, layersToTransform: [1], layersPattern: ["h"] })
  expect(parse({ init_lora_weights: "orthogonal" })).toEqual(config)
})

test("(IA)^3 has fields of its own", () => {
  const ia3 = {
    peftType: "IA3" as const,
    baseModel: "models/base",
    targetModules: ["k_proj", "down_proj"],
    feedforwardModules: ["down_proj"],
    fanInFanOut: false
  }
  const text = formatAdapterConfig(ia3)
  expect(parseAdapterConfig(text, "adapter_config.json")).toEqual(ia3)
  const change = (fields: object) => parseAdapterConfig(JSON.stringify({ ...JSON.parse(text), ...fields }), "adapter_config.json")
  expect(change({ init_ia3_weights: false, modules_to_save: ["lm_head"] })).toEqual({ ...ia3, modulesToSave: ["lm_head"] })
  expect(() => change({ r: 4 })).toThrow(/^r: 4 is not supported/)
})

test("prefix tuning keeps the width of its projection only where it has one; a second submodule is refused", () => {
  const prefix = {
    peftType: "PREFIX_TUNING" as const,
    ...{ baseModel: "models/base", numVirtualTokens: 6, tokenDim: 16, numLayers: 3, numAttentionHeads: 2 }
  }
  const text = formatAdapterConfig(prefix)
  const fields = JSON.parse(text) as object
  const change = (fields: object) => parseAdapterConfig(JSON.stringify({ ...JSON.parse(text), ...fields }), "adapter_config.json")
  expect(fields).toMatchObject({ prefix_projection: false, encoder_hidden_size: 16, num_transformer_submodules: 1, inference_mode: true })
  expect(change({})).toEqual(prefix)
  expect(change({ prefix_projection: true, encoder_hidden_size: 20 })).toEqual({ ...prefix, encoderHiddenSize: 20 })
  expect(change({ prefix_projection: true, encoder_hidden_size: null })).toEqual({ ...prefix, encoderHiddenSize: 16 })
  expect(change({ init_weights: "zero", num_transformer_submodules: null })).toEqual(prefix)
  const whole = { ...prefix, encoderHiddenSize: 20 }
  expect(parseAdapterConfig(formatAdapterConfig(whole), "adapter_config.json")).toEqual(whole)
  for (const wrong of [{ num_virtual_tokens: 0 }, { num_transformer_submodules: 2 }, { modules_to_save: ["lm_head"] }])
    expect(() => change(wrong)).toThrow(new RegExp(`^${Object.keys(wrong)[0]}`))
})

test("prompt tuning says the text that it began as, with the tokenizer that PEFT asks for", () => {
  const prompt = {
    peftType: "PROMPT_TUNING" as const,
    ...{ baseModel: "models/base", numVirtualTokens: 6, tokenDim: 48, numLayers: 3, numAttentionHeads: 6 }
  }
  const text = formatAdapterConfig(prompt)
  expect(JSON.parse(text)).toMatchObject({ prompt_tuning_init: "RANDOM" })
  expect(text).not.toContain("tokenizer_name_or_path")
  expect(parseAdapterConfig(text, "adapter_config.json")).toEqual(prompt)
  const begun = { ...prompt, initText: "Say it twice." }
  expect(JSON.parse(formatAdapterConfig(begun))).toMatchObject({
    prompt_tuning_init: "TEXT",
    prompt_tuning_init_text: "Say it twice.",
    tokenizer_name_or_path: "models/base"
  })
  expect(parseAdapterConfig(formatAdapterConfig(begun), "adapter_config.json")).toEqual(begun)
  const change = (fields: object) => parseAdapterConfig(JSON.stringify({ ...JSON.parse(text), ...fields }), "adapter_config.json")
  expect(change({ prompt_tuning_init: "SAMPLE_VOCAB", tokenizer_kwargs: { use_fast: true } })).toEqual(prompt)
  expect(() => change({ prompt_tuning_init: "MAGIC" })).toThrow(/^prompt_tuning_init/)
})

const refused: readonly (readonly [string, unknown])[] = [
  ["lora_bias", true],
  ["target_parameters", ["x"]],
  ["trainable_token_indices", [1]],
  ["layer_replication", [[0, 1]]],
  ["init_lora_weights", "pissa"],
  ["init_lora_weights", "olora"],
  ["init_lora_weights", "corda"],
  ["init_lora_weights", "loftq"],
  ["a_field_of_a_later_release", 3],
  ["bias", "some"],
  ["rank_pattern", { q_proj: 0 }],
  ["task_type", "SEQ_CLS"],
  ["peft_type", "LOHA"],
  ["peft_type", 3],
  ["target_modules", []],
  ["r", 0],
  ["lora_alpha", "16"]
]
test.each(refused)("%s %j is refused", (field, value) => {
  expect(() => parse({ [field]: value })).toThrow(new RegExp(`^${field}`))
})
