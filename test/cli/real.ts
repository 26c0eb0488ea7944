// A workspace with all eight stages over a tiny random model: the whole road in seconds, and the places where input can be bad.
import { cpSync } from "node:fs"
import { join } from "node:path"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { modelOf } from "#src/models/families.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { saveModel } from "#src/models/save.ts"
import { tinyBase } from "../text/tinyBase.ts"
import { makeWorkspace, type Workspace } from "./cli.ts"

const config = {
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  vocab_size: 258,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  bos_token_id: 256,
  eos_token_id: 257,
  initializer_range: 0.2
}

const pipeline = `
import { augment, baseModel, evaluate, format, ingest, lora, pipeline, register, split, train, validate } from "anneal"

export default pipeline("road", () => {
  const base = baseModel("base")
  const rows = ingest({ from: "rows.jsonl", as: "instruction" })
  const checked = validate(rows, { minRows: 20 })
  const parts = split(checked, { validation: 0.1, test: 0.2, seed: 1 })
  const more = augment(parts.train, { insert: 0.1, seed: 1 })
  const tokens = format({ train: more, validation: parts.validation, test: parts.test, base }, { template: "plain", maxLength: 64 })
  const model = train({ tokens, base }, { method: lora({ r: 2, loraAlpha: 4, targetModules: "all-linear" }), maxSteps: 4, learningRate: 1e-2 })
  const scores = evaluate({ model, tokens: tokens.test, baseline: base }, { metrics: ["perplexity", "exactMatch"], maxNewTokens: 4 })
  register(model, scores, { name: "tiny" })
})
`

/** 40 rows "say <n> twice" -> "<n> <n>". */
export const rows = (): readonly string[] =>
  Array.from({ length: 40 }, (_, n) => JSON.stringify({ instruction: `say ${n} twice`, output: `${n} ${n}` }))

/** `other`: config.json of another family's model. */
export const makeRoad = async (other: object = config): Promise<Workspace> => {
  const workspace = makeWorkspace()
  const base = join(workspace.root, "base")
  cpSync(tinyBase({ vocabSize: config.vocab_size }), base, { recursive: true })
  const model = modelOf(parseConfig(JSON.stringify(other), "config.json"), "config.json")
  await saveModel(base, model, initialWeights(model, 1))
  workspace.write("pipelines/road.mjs", pipeline)
  workspace.write("rows.jsonl", `${rows().join("\n")}\n`)
  return workspace
}
