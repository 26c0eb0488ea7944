// What the programs that measure trainings share: bases of known shapes, rows, and a train stage's task over them.
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Schema from "effect/Schema"
import type { StageTask } from "#src/domain/StageContext.ts"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { modelOf } from "#src/models/families.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { saveModel } from "#src/models/save.ts"
import { type TokensTable, writeTokens } from "#src/store/tokens.ts"
import { TrainConfig } from "#stages/train/stage.ts"

export interface Shape {
  readonly vocab: number
  readonly hidden: number
  readonly layers: number
  readonly heads: number
  readonly kv: number
  readonly inner: number
  readonly tied: boolean
}

/** The bases, by name; "body" is that of the real rows: small's layers under GPT-2's vocabulary. */
export const shapes = {
  tiny: { vocab: 512, hidden: 256, layers: 4, heads: 4, kv: 4, inner: 688, tied: false },
  small: { vocab: 8192, hidden: 512, layers: 8, heads: 8, kv: 8, inner: 1376, tied: false },
  "135m": { vocab: 49152, hidden: 576, layers: 30, heads: 9, kv: 3, inner: 1536, tied: true },
  body: { vocab: 50257, hidden: 512, layers: 8, heads: 8, kv: 8, inner: 1376, tied: true }
} as const satisfies Readonly<Record<string, Shape>>
export type ShapeName = keyof typeof shapes

/** Writes a base of random weights. */
export const writeBase = async (path: string, { vocab, hidden, layers, heads, kv, inner, tied }: Shape): Promise<void> => {
  const config = {
    ...{ model_type: "llama", vocab_size: vocab, hidden_size: hidden, num_hidden_layers: layers, num_attention_heads: heads },
    ...{ num_key_value_heads: kv, intermediate_size: inner, max_position_embeddings: 2048, rms_norm_eps: 1e-5, tie_word_embeddings: tied }
  }
  const model = modelOf(parseConfig(JSON.stringify(config), path), path)
  await saveModel(path, model, initialWeights(model, 1))
  writeFileSync(join(path, "tokenizer.json"), "{}")
}

export interface Row {
  readonly tokens: ArrayLike<number>
  /** The first tokens, which are not trained on. */
  readonly prompt?: number
}

/** Arbitrary tokens, every one of them trained on. */
export const arbitraryRows = (lengths: readonly number[], vocab: number): readonly Row[] =>
  lengths.map((length, row) => ({ tokens: Int32Array.from({ length }, (_, i) => ((row * length + i) * 7919 + ((i * i) % 131)) % vocab) }))

export const tokensTable = (rows: readonly Row[], vocab: number): TokensTable => {
  const lengths = rows.map(({ tokens }) => tokens.length)
  return {
    meta: {
      promptFormat: { template: "plain", rowKind: "completion", systemPrompt: "", classInstruction: "", date: "2025-01-01" },
      maxLength: Math.max(...lengths),
      trainOnPrompt: true,
      vocabSize: vocab,
      eosTokenIds: [2],
      bosTokenId: null,
      padTokenId: null,
      tokenizerDigest: "sha256:00"
    },
    ids: rows.map((_, row) => `row-${row}`),
    offsets: Int32Array.from([0, ...lengths]).map((_, i) => lengths.slice(0, i).reduce((sum, n) => sum + n, 0)),
    tokens: Int32Array.from(rows.flatMap(({ tokens }) => Array.from(tokens))),
    mask: Uint8Array.from(rows.flatMap(({ tokens, prompt = 0 }) => Array.from(tokens, (_, i) => Number(i >= prompt)))),
    promptLength: Int32Array.from(rows, ({ prompt = 0 }) => prompt),
    reference: rows.map(() => "")
  }
}

export interface TaskOptions {
  /** A new folder, for all that the stage writes. */
  readonly folder: string
  readonly base: string
  readonly config: typeof TrainConfig.Encoded
  readonly train: TokensTable
  readonly validation?: TokensTable | undefined
}

/** What the engine would hand to the train stage, on two threads. */
export const trainTask = async ({ folder, base, config, train, validation }: TaskOptions): Promise<StageTask<TrainConfig>> => {
  mkdirSync(join(folder, "out"), { recursive: true })
  await writeTokens(join(folder, "train.arrow"), train)
  if (validation !== undefined) await writeTokens(join(folder, "validation.arrow"), validation)
  writeFileSync(join(folder, "lease.json"), JSON.stringify({ attempt: "a1" }))
  const tokens = (name: string) => ({ kind: "tokens", digest: "sha256:00", path: join(folder, `${name}.arrow`) })
  return {
    ...{ pipeline: "bench", run: "run-1", stage: "train", key: "sha256:00", files: {}, workDir: folder, attempt: "a1", threads: 2 },
    config: Schema.decodeUnknownSync(TrainConfig)({ device: "cpu", ...config }) as TrainConfig,
    checkpointDir: join(folder, "checkpoints"),
    leasePath: join(folder, "lease.json"),
    inputs: {
      train: tokens("train"),
      base: { kind: "base", digest: "sha256:00", path: base },
      ...(validation === undefined ? {} : { validation: tokens("validation") })
    }
  }
}
