// The quickstart's rows made ready for training: what the pipelines that compare training methods have in common.
import { augment, baseModel, format, ingest, split, validate } from "anneal"

export const desk = () => {
  const base = baseModel("pipelines/models/base")
  const rows = ingest({ from: "pipelines/data/rows.jsonl", as: "instruction" })
  const checked = validate(rows, { minRows: 600, maxEmptyShare: 0, maxDuplicateShare: 0 })
  const parts = split(checked, { validation: 0.05, test: 0.1, seed: 42 })
  const more = augment(parts.train, { insert: 0.01, delete: 0.02, seed: 42 })
  const tokens = format({ train: more, validation: parts.validation, test: parts.test, base }, { template: "plain", maxLength: 160 })
  return { base, tokens }
}

/** The schedule of all methods, but that a prefix takes more epochs; each has a learning rate of its own. */
export const schedule = { epochs: 2, batchSize: 16, schedule: "cosine", warmupRatio: 0.1 } as const

export const scored = { metrics: ["perplexity", "tokenAccuracy", "exactMatch"], maxNewTokens: 56 } as const
