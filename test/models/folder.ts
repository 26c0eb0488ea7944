// Model folders for tests: written below a temporary folder, with any part changed.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { modelOf } from "#src/models/families.ts"
import { parseConfig } from "#src/formats/hfConfig.ts"
import type { Model } from "#src/models/Model.ts"
import { DataError } from "#src/domain/Errors.ts"

/** A tiny model: 2 layers, grouped-query attention, tied head. */
export const tinyConfig = {
  model_type: "llama",
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
  tie_word_embeddings: true,
  rope_parameters: { rope_type: "default", rope_theta: 10000 }
}

/** The model of the tiny config, or of another, with some fields changed. */
export const tinyModel = (change: object = {}, config: object = tinyConfig): Model =>
  modelOf(parseConfig(JSON.stringify({ ...config, ...change }), "config.json"), "config.json")

/** A new empty folder, removed after the test. */
export const scratch = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "anneal-model-"))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

export const writeConfig = (folder: string, config: object = tinyConfig): void => {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, "config.json"), JSON.stringify(config))
}

/** The DataError that a call ends with. */
export const failureOf = async (run: () => unknown): Promise<DataError> => {
  try {
    await run()
  } catch (u) {
    if (u instanceof DataError) return u
    throw u
  }
  throw new Error("nothing was thrown")
}
