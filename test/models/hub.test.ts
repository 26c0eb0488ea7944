// Configs as well-known models of the hub have them: each is read, and gives the number of parameters that its authors state; a field
// that nobody reads is refused in every family.
import { readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { describe, expect, test } from "vitest"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { modelOf } from "#src/models/families.ts"
import type { Model } from "#src/models/Model.ts"
import { failureOf } from "./folder.ts"

const hub = resolve(import.meta.dirname, "hub")
const configOf = (name: string) => JSON.parse(readFileSync(join(hub, `${name}.json`), "utf8")) as Record<string, unknown>
const model = (config: object): Model => modelOf(parseConfig(JSON.stringify(config), "config.json"), "config.json")

/** Tied weights once; of gemma-3-4b the text model. */
const counts: Readonly<Record<string, number>> = {
  "Llama-3.2-1B": 1_235_814_400,
  "SmolLM2-135M": 134_515_008,
  "SmolLM2-135M-Instruct": 134_515_008,
  "TinyLlama-1.1B": 1_100_048_384,
  "Mistral-7B-v0.1": 7_241_732_096,
  "Mistral-7B-v0.3": 7_248_023_552,
  "gemma-3-270m": 268_098_176,
  "gemma-3-1b": 999_885_952,
  "gemma-3-4b": 3_880_263_168,
  "Qwen2.5-0.5B": 494_032_768,
  "Qwen3-0.6B": 596_049_920,
  gpt2: 124_439_808,
  "Phi-3-mini-4k-instruct": 3_821_079_552,
  "SmolLM3-3B": 3_075_098_624
}

test("every config has a count", () => {
  expect(readdirSync(hub).toSorted()).toEqual(
    Object.keys(counts)
      .map((name) => `${name}.json`)
      .toSorted()
  )
})

describe.each(Object.entries(counts))("%s", (name, count) => {
  test("is read, with the published number of parameters", () => {
    const { parameters } = model(configOf(name))
    expect(parameters.reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0)).toBe(count)
  })

  test("an unknown field is refused with its name and value, one that is off is not", async () => {
    const error = await failureOf(() => model({ ...configOf(name), logit_scale: 0.5, new_gate: { kind: "top2" } }))
    expect(error.message).toMatch(/^logit_scale: 0\.5; new_gate: \{"kind":"top2"\}: unknown to anneal's /)
    const { parameters } = model({ ...configOf(name), logit_scale: null, new_gate: false, more: [], others: {} })
    expect(parameters.length).toBeGreaterThan(0)
  })
})

const values = (name: string, ...fields: readonly string[]): unknown[] => {
  const { config } = model(configOf(name))
  return fields.map((field) => (config as unknown as Record<string, unknown>)[field])
}

test("fields that a file leaves out, and those that differ between releases", () => {
  expect(values("gemma-3-4b", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size")).toEqual([8, 4, 256, 262208])
  expect(values("gemma-3-4b", "tie_word_embeddings", "eos_token_id", "bos_token_id", "pad_token_id")).toEqual([true, [1, 106], 2, 0])
  expect(model(configOf("gemma-3-4b")).modelType).toBe("gemma3")
  expect(values("gemma-3-1b", "windows")).toEqual([Array.from({ length: 26 }, (_, layer) => ((layer + 1) % 6 === 0 ? null : 512))])
  expect(values("gemma-3-270m", "windows")).toEqual([Array.from({ length: 18 }, (_, layer) => ((layer + 1) % 6 === 0 ? null : 512))])
  expect(model(configOf("gpt2")).dropout).toEqual({ attention: 0.1, residual: 0.1, embedding: 0.1 })
})

const refused: readonly (readonly [string, object, RegExp])[] = [
  ["gemma-3-1b", { attn_logit_softcapping: 50 }, /^attn_logit_softcapping: 50/],
  ["gemma-3-1b", { final_logit_softcapping: 30 }, /^final_logit_softcapping: 30/],
  ["gemma-3-1b", { use_bidirectional_attention: true }, /^use_bidirectional_attention: true/],
  ["gemma-3-1b", { hidden_activation: "gelu" }, /^hidden_activation/],
  ["gemma-3-1b", { rope_scaling: { rope_type: "longrope", factor: 8 } }, /^rope_type/],
  ["gemma-3-270m", { num_hidden_layers: 19 }, /^layer_types has 18 entries for 19 layers/],
  ["gemma-3-270m", { sliding_window: null }, /^layer_types has sliding layers, but there is no sliding_window/],
  ["gemma-3-4b", { text_config: { ...(configOf("gemma-3-4b")["text_config"] as object), altup: 4 } }, /^altup: 4/],
  ["Mistral-7B-v0.1", { layer_types: ["full_attention"] }, /^layer_types/],
  ["Qwen2.5-0.5B", { use_mrope: true }, /^use_mrope: true/],
  ["Qwen2.5-0.5B", { layer_types: ["chunked_attention"] }, /^layer_types\.0/],
  ["Qwen2.5-0.5B", { rope_scaling: { type: "mrope", mrope_section: [16, 24, 24] } }, /^rope_type/],
  ["Phi-3-mini-4k-instruct", { partial_rotary_factor: 0.75 }, /^partial_rotary_factor/],
  ["SmolLM3-3B", { no_rope_layers: [1, 0] }, /^no_rope_layers has 2 entries for 36 layers/],
  ["gpt2", { add_cross_attention: true }, /^add_cross_attention: true/],
  ["gpt2", { activation_function: "relu" }, /^activation_function/],
  ["gpt2", { n_head: 7 }, /^n_embd 768 is no multiple of n_head 7/],
  ["gpt2", { rope_theta: 1e4 }, /^rope_theta: 10000/]
]

test.each(refused)("%s with %j is refused", async (name, change, message) => {
  const error = await failureOf(() => model({ ...configOf(name), ...change }))
  expect(error.message).toMatch(message)
  expect(error.where).toMatch(/^config\.json/)
})
