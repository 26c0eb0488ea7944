// Small random Llama folders for tests: weights large enough that the likeliest token is no matter of rounding.
import { cpSync, mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { adapterOf, configOf, saveAdapter } from "#src/adapters/peft.ts"
import type { ModelInfo } from "#src/domain/ModelInfo.ts"
import type { TokensMeta } from "#src/domain/Tokens.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { loadConfig } from "#src/models/load.ts"
import type { Weights } from "#src/models/Model.ts"
import { saveModel } from "#src/models/save.ts"
import { completeModelFolder } from "#src/runtime/ModelFolder.ts"
import { loraMethod } from "../adapters/method.ts"
import { tinyBase } from "../text/tinyBase.ts"

export const tinyConfig = {
  model_type: "llama",
  vocab_size: 258,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 256,
  initializer_range: 0.3,
  tie_word_embeddings: false,
  bos_token_id: 256,
  eos_token_id: 257
}

/** A base folder with byte-level tokenizer and random weights. */
export const tinyModelFolder = async (seed: number, config: Readonly<Record<string, unknown>> = {}): Promise<string> => {
  const folder = tinyBase()
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...tinyConfig, ...config }))
  const model = await loadConfig(folder)
  await saveModel(folder, model, initialWeights(model, seed))
  return folder
}

export const tinyMeta: TokensMeta = {
  promptFormat: { template: "plain", rowKind: "completion", systemPrompt: "", classInstruction: "", date: "2025-01-01" },
  maxLength: 64,
  trainOnPrompt: false,
  vocabSize: tinyConfig.vocab_size,
  eosTokenIds: [257],
  bosTokenId: 256,
  padTokenId: null,
  tokenizerDigest: ""
}

export const tinyInfo = (base: ModelInfo["base"], method: ModelInfo["method"]): ModelInfo => ({
  version: 1,
  method,
  base,
  tokens: tinyMeta,
  config: { learningRate: 0.001, method: { type: method } },
  data: { train: "sha256:train" },
  parameters: { trainable: 1, total: 2 },
  steps: 3,
  modelStep: 3,
  metrics: { loss: 1.5 }
})

const adapterOptions = loraMethod({ r: 4, targetModules: "all-linear" })

/** An adapter over `base` that changes it: B is filled too. */
export const tinyAdapter = async (base: string, seed: number) => {
  const model = await loadConfig(base)
  const config = configOf(model, adapterOptions, base)
  const adapter = adapterOf(model, config)
  const fresh = adapter.initial({ has: () => false, read: () => new Float32Array() }, seed)
  const weights: Weights = {
    has: fresh.has,
    read: (name) => (name.includes("lora_B") ? fresh.read(name).map((_, i) => 0.2 * Math.sin(seed + i * i)) : fresh.read(name))
  }
  const folder = mkdtempSync(join(tmpdir(), "anneal-adapter-"))
  await saveAdapter(folder, model, config, weights, weights)
  await completeModelFolder(folder, base, tinyInfo({ path: base, digest: "sha256:baseline" }, "lora"))
  return { folder, adapter, weights }
}

/** A fully fine-tuned model: another folder of the same shape with anneal.json. */
export const tinyFull = async (base: string, seed: number): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), "anneal-full-"))
  cpSync(await tinyModelFolder(seed), folder, { recursive: true })
  await completeModelFolder(folder, base, tinyInfo({ path: base, digest: "sha256:baseline" }, "full"))
  return folder
}
