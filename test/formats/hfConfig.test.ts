// Both spellings of config.json become one, and what is written keeps the spelling of its source.
import { expect, test } from "vitest"
import { formatConfig, parseConfig } from "#src/formats/hfConfig.ts"

const parse = (config: object) => parseConfig(JSON.stringify({ model_type: "llama", ...config }), "config.json").fields

test("older rope fields become rope_parameters", () => {
  const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 }
  const newer = { rope_type: "llama3", rope_theta: 5e5, ...scaling }
  expect(parse({ rope_parameters: newer })["rope_parameters"]).toEqual(newer)
  expect(parse({ rope_theta: 5e5, rope_scaling: { rope_type: "llama3", ...scaling } })["rope_parameters"]).toEqual(newer)
  expect(parse({ rope_theta: 5e5, rope_scaling: { type: "llama3", ...scaling } })["rope_parameters"]).toEqual(newer)
})

test("of both spellings only the older one counts, as in transformers", () => {
  const both = {
    rope_theta: 300,
    rope_scaling: { rope_type: "linear", factor: 4 },
    rope_parameters: { rope_type: "dynamic", rope_theta: 50 }
  }
  expect(parse(both)["rope_parameters"]).toEqual({ rope_type: "linear", factor: 4, rope_theta: 300 })
  expect(parse({ ...both, rope_scaling: {} })["rope_parameters"]).toEqual({ rope_type: "dynamic", rope_theta: 50 })
})

test("no rope fields give none, a base alone gives plain rope", () => {
  expect(parse({})).not.toHaveProperty("rope_parameters")
  expect(parse({ rope_theta: 5, rope_scaling: null })["rope_parameters"]).toEqual({ rope_type: "default", rope_theta: 5 })
})

test("torch_dtype becomes dtype", () => {
  expect(parse({ torch_dtype: "bfloat16" })["dtype"]).toBe("bfloat16")
  expect(parse({ dtype: "float16", torch_dtype: "bfloat16" })["dtype"]).toBe("float16")
})

test("a written config says float32 under the name that the source had", () => {
  expect(JSON.parse(formatConfig({ model_type: "llama", torch_dtype: "bfloat16" }))).toEqual({
    model_type: "llama",
    torch_dtype: "float32"
  })
  expect(JSON.parse(formatConfig({ model_type: "llama", dtype: "float16" }))).toEqual({ model_type: "llama", dtype: "float32" })
  expect(JSON.parse(formatConfig({ model_type: "llama" }))).toEqual({ model_type: "llama", dtype: "float32" })
})

test("a file without model_type, and one that is no JSON, are named", () => {
  expect(() => parseConfig("{}", "config.json")).toThrow(/model_type is missing/)
  expect(() => parseConfig('{"a": 1', "config.json")).toThrow(/not valid JSON/)
})
