// The forecast of a training's memory beside what it takes: each case runs the train stage in its own process, as a run does, and the
// process's peak is read from the system until it ends (needs dist/ and Linux).
//   node --conditions=source bench/memory.ts [filter]
import { fork } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import * as Schema from "effect/Schema"
import { lora, prefix, qlora } from "#src/adapters/options.ts"
import { rowSizes } from "#src/batching/rows.ts"
import type { FromChild } from "#src/domain/ChildProtocol.ts"
import type { StageTask } from "#src/domain/StageContext.ts"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { modelOf } from "#src/models/families.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { loadModel } from "#src/models/load.ts"
import { saveModel } from "#src/models/save.ts"
import { type TokensTable, writeTokens } from "#src/store/tokens.ts"
import { forecastOf } from "#stages/train/forecast.ts"
import { TrainConfig } from "#stages/train/stage.ts"

interface Shape {
  readonly vocab: number
  readonly hidden: number
  readonly layers: number
  readonly heads: number
  readonly kv: number
  readonly inner: number
}
const models: Readonly<Record<string, Shape>> = {
  tiny: { vocab: 512, hidden: 256, layers: 4, heads: 4, kv: 4, inner: 688 },
  small: { vocab: 8192, hidden: 512, layers: 8, heads: 8, kv: 8, inner: 1376 },
  "135m": { vocab: 49152, hidden: 576, layers: 30, heads: 9, kv: 3, inner: 1536 }
}

interface Case {
  readonly name: string
  readonly model: string
  /** Tokens of a row: each as long as this, or spread from a quarter of it up. */
  readonly length: number
  readonly spread?: boolean
  readonly validation?: boolean
  /** The constants of the forecast were measured with it. */
  readonly calibrates?: boolean
  readonly config: typeof TrainConfig.Encoded
}

const adapter = { loraAlpha: 16, targetModules: "all-linear" } as const
const cases: readonly Case[] = [
  { name: "tiny full", model: "tiny", length: 129, calibrates: true, config: { batchSize: 8 } },
  { name: "tiny lora", model: "tiny", length: 129, config: { batchSize: 8, method: lora(adapter) } },
  {
    name: "tiny full, dropout, batch 16",
    model: "tiny",
    length: 129,
    config: { batchSize: 16, attentionDropout: 0.1, residualDropout: 0.1 }
  },
  { name: "small full", model: "small", length: 257, config: { batchSize: 4 } },
  { name: "small full, batch 16", model: "small", length: 257, config: { batchSize: 16 } },
  { name: "small full, batch 16, checkpointing", model: "small", length: 257, config: { batchSize: 16, gradientCheckpointing: true } },
  {
    name: "small full, accumulation, validation",
    model: "small",
    length: 257,
    spread: true,
    validation: true,
    config: { batchSize: 4, gradientAccumulationSteps: 2 }
  },
  { name: "small full, lion", model: "small", length: 129, config: { batchSize: 2, optimizer: "lion" } },
  { name: "small lora", model: "small", length: 257, calibrates: true, config: { batchSize: 4, method: lora(adapter) } },
  {
    name: "small lora, packing",
    model: "small",
    length: 257,
    spread: true,
    config: { batchSize: 4, packing: true, packLength: 512, method: lora(adapter) }
  },
  { name: "small qlora", model: "small", length: 257, config: { batchSize: 4, method: qlora(adapter) } },
  { name: "small prefix", model: "small", length: 257, config: { batchSize: 4, method: prefix() } },
  { name: "135m full", model: "135m", length: 65, config: { batchSize: 2 } },
  { name: "135m full, checkpointing", model: "135m", length: 129, config: { batchSize: 4, gradientCheckpointing: true } },
  { name: "135m lora", model: "135m", length: 129, config: { batchSize: 4, method: lora(adapter) } },
  {
    name: "135m qlora, checkpointing",
    model: "135m",
    length: 129,
    calibrates: true,
    config: { batchSize: 4, gradientCheckpointing: true, method: qlora(adapter) }
  }
]

const tokensOf = ({ length, spread = false }: Case, rows: number, vocab: number): TokensTable => {
  const lengths = Array.from({ length: rows }, (_, row) => (spread && row % 4 !== 0 ? Math.ceil((length * (1 + (row % 4))) / 4) : length))
  const offsets = Int32Array.from([0, ...lengths]).map((_, i) => lengths.slice(0, i).reduce((sum, n) => sum + n, 0))
  const total = offsets.at(-1) as number
  return {
    meta: {
      promptFormat: { template: "plain", rowKind: "completion", systemPrompt: "", classInstruction: "", date: "2025-01-01" },
      maxLength: length,
      trainOnPrompt: true,
      vocabSize: vocab,
      eosTokenIds: [2],
      bosTokenId: null,
      padTokenId: null,
      tokenizerDigest: "sha256:00"
    },
    ids: lengths.map((_, row) => `row-${row}`),
    offsets,
    tokens: Int32Array.from({ length: total }, (_, i) => (i * 7919 + ((i * i) % 131)) % vocab),
    mask: new Uint8Array(total).fill(1),
    promptLength: new Int32Array(rows),
    reference: lengths.map(() => "")
  }
}

/** Peak of a process's resident memory so far, in bytes; 0 once it is gone. */
const peakOf = (pid: number): number => {
  try {
    return 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0)
  } catch {
    return 0
  }
}

const run = (task: StageTask<TrainConfig>): Promise<{ readonly peak: number; readonly before: number }> =>
  new Promise((done, failed) => {
    const child = fork(resolve(import.meta.dirname, "../dist/stage-child.js"), { stdio: ["ignore", "inherit", "inherit", "ipc"] })
    let [peak, before] = [0, 0]
    const watch = setInterval(() => (peak = Math.max(peak, peakOf(child.pid as number))), 10)
    child.on("message", (message: FromChild) => {
      if (message.type === "failed") console.error(message.error)
      if (message.type === "event" && message.event._tag === "Log" && before === 0) before = peakOf(child.pid as number)
    })
    child.on("error", failed)
    child.on("exit", () => {
      clearInterval(watch)
      done({ peak, before })
    })
    child.send({ type: "start", kind: "train", task })
  })

const folder = mkdtempSync(join(tmpdir(), "anneal-memory-"))
const baseOf = async (name: string): Promise<string> => {
  const { vocab, hidden, layers, heads, kv, inner } = models[name] as Shape
  const path = join(folder, name)
  const json = {
    ...{ model_type: "llama", vocab_size: vocab, hidden_size: hidden, num_hidden_layers: layers, num_attention_heads: heads },
    ...{ num_key_value_heads: kv, intermediate_size: inner, max_position_embeddings: 2048, rms_norm_eps: 1e-5, tie_word_embeddings: true }
  }
  const model = modelOf(parseConfig(JSON.stringify(json), path), path)
  await saveModel(path, model, initialWeights(model, 1))
  writeFileSync(join(path, "tokenizer.json"), "{}")
  return path
}

const mb = (bytes: number): string => (bytes / 1e6).toFixed(0)
const measure = async (each: Case, base: string, at: number): Promise<string> => {
  const work = join(folder, String(at))
  mkdirSync(join(work, "out"), { recursive: true })
  const config = Schema.decodeUnknownSync(TrainConfig)({ epochs: 1, maxSteps: 4, device: "cpu", ...each.config }) as TrainConfig
  const { vocab } = models[each.model] as Shape
  const rows = config.batchSize * config.gradientAccumulationSteps * (config.packing ? 8 : 4)
  const table = tokensOf(each, rows, vocab)
  await writeTokens(join(work, "train.arrow"), table)
  const part = each.validation === true ? tokensOf(each, 8, vocab) : undefined
  if (part !== undefined) await writeTokens(join(work, "validation.arrow"), part)
  writeFileSync(join(work, "lease.json"), JSON.stringify({ attempt: "a1" }))
  const tokens = (name: string) => ({ kind: "tokens", digest: "sha256:00", path: join(work, `${name}.arrow`) })
  const { model, weights } = await loadModel(base)
  const known = { kind: "known", train: rowSizes(table), ids: table.ids, validation: part && rowSizes(part) } as const
  const forecast = forecastOf(config, { model, weights, rows: known })
  const { peak, before } = await run({
    ...{ pipeline: "bench", run: "run-1", stage: "train", key: "sha256:00", config, files: {}, workDir: work, attempt: "a1", threads: 2 },
    checkpointDir: join(work, "checkpoints"),
    leasePath: join(work, "lease.json"),
    inputs: {
      train: tokens("train"),
      base: { kind: "base", digest: "sha256:00", path: base },
      ...(part === undefined ? {} : { validation: tokens("validation") })
    }
  })
  rmSync(work, { recursive: true })
  const parts = Object.entries(forecast).filter(([name, bytes]) => name !== "total" && bytes > 0)
  const off = `${forecast.total < peak ? "" : "+"}${((100 * (forecast.total - peak)) / peak).toFixed(1)} %`
  const mark = each.calibrates === true ? " (calibration)" : ""
  if (process.argv.includes("--parts")) console.log(parts.map(([name, bytes]) => `${name} ${mb(bytes)}`).join(", "), `before ${mb(before)}`)
  return `| ${each.name}${mark} | ${mb(forecast.total)} | ${mb(peak)} | ${off} |`
}

const filter = process.argv.slice(2).find((argument) => !argument.startsWith("--")) ?? ""
const chosen = cases.filter(({ name }) => name.includes(filter))
try {
  const bases = new Map<string, string>()
  console.log("| case | forecast MB | measured MB | difference |\n| --- | ---: | ---: | ---: |")
  for (const [at, each] of chosen.entries()) {
    const base = bases.get(each.model) ?? (await baseOf(each.model))
    bases.set(each.model, base)
    console.log(await measure(each, base, at))
  }
} finally {
  rmSync(folder, { recursive: true })
}
