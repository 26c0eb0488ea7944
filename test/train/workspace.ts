// A small workspace for tests of the train stage: a random Llama of two layers, token tables, a lease, and the stage run
// either here or in its own process as the engine runs it.
import { fork } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import * as Schema from "effect/Schema"
import type { FromChild } from "#src/domain/ChildProtocol.ts"
import type { StageResult } from "#src/domain/Pipeline.ts"
import { uniform } from "#src/domain/random.ts"
import type { StageEvent } from "#src/domain/RunEvent.ts"
import type { InputArtifact, StageContext, StageTask } from "#src/domain/StageContext.ts"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { modelOf } from "#src/models/families.ts"
import { initialWeights } from "#src/models/initialWeights.ts"
import { saveModel } from "#src/models/save.ts"
import { verifyLease } from "#src/store/Lease.ts"
import { readTrainingLog, type TrainingLog } from "#src/store/trainingLog.ts"
import { type TokensTable, writeTokens } from "#src/store/tokens.ts"
import { outputPath } from "#src/store/Work.ts"
import { run } from "#stages/train/run.ts"
import { TrainConfig } from "#stages/train/stage.ts"

const config = {
  model_type: "llama",
  vocab_size: 64,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  initializer_range: 0.2
}

/** Rows of 5 to 28 tokens whose second part is trained. */
export const tokensTable = (rows: number, seed: number, opening: readonly number[] = []): TokensTable => {
  const draw = (row: number, i: number, n: number): number => Math.floor(uniform(seed, row, i) * n)
  const own = Array.from({ length: rows }, (_, row) => Array.from({ length: 5 + draw(row, 0, 24) }, (_, i) => draw(row, i + 1, 64)))
  const tokens = own.map((row) => [...opening, ...row])
  const mask = own.map((row) => [...opening.map(() => 0), ...row.map((_, i) => (i >= row.length / 2 ? 1 : 0))])
  const offsets = new Int32Array(rows + 1)
  tokens.forEach((row, i) => (offsets[i + 1] = (offsets[i] as number) + row.length))
  return {
    meta: {
      promptFormat: { template: "plain", rowKind: "completion", systemPrompt: "", classInstruction: "", date: "2025-01-01" },
      maxLength: 32 + opening.length,
      trainOnPrompt: false,
      vocabSize: 64,
      eosTokenIds: [2],
      bosTokenId: null,
      padTokenId: null,
      tokenizerDigest: "sha256:00"
    },
    ids: tokens.map((_, row) => `row-${row}`),
    offsets,
    tokens: Int32Array.from(tokens.flat()),
    mask: Uint8Array.from(mask.flat()),
    promptLength: Int32Array.from(own, (row) => opening.length + Math.ceil(row.length / 2)),
    reference: tokens.map(() => "")
  }
}

export interface Workspace {
  readonly folder: string
  readonly inputs: Readonly<Record<string, InputArtifact>>
  readonly clear: () => void
}

/** `validation: null` leaves the validation part out; `change`: of the base's config. */
export const makeWorkspace = async (
  train = tokensTable(22, 1),
  validation: TokensTable | null = tokensTable(5, 2),
  change: object = {}
): Promise<Workspace> => {
  const folder = mkdtempSync(join(tmpdir(), "anneal-train-"))
  const base = join(folder, "base")
  const model = modelOf(parseConfig(JSON.stringify({ ...config, ...change }), base), base)
  await saveModel(base, model, initialWeights(model, 1))
  writeFileSync(join(base, "tokenizer.json"), '{"a":"tokenizer"}')
  const path = (name: string): string => join(folder, `${name}.arrow`)
  await writeTokens(path("train"), train)
  if (validation !== null) await writeTokens(path("validation"), validation)
  writeFileSync(join(folder, "lease.json"), JSON.stringify({ attempt: "a1" }))
  const tokens = (name: string): InputArtifact => ({ kind: "tokens", digest: `sha256:${name}`, path: path(name) })
  return {
    folder,
    inputs: {
      train: tokens("train"),
      base: { kind: "base", digest: "sha256:base", path: base },
      ...(validation === null ? {} : { validation: tokens("validation") })
    },
    clear: () => rmSync(folder, { recursive: true, force: true })
  }
}

/** `name` keeps the work and checkpoint folders of different trainings in one workspace apart. */
export const taskIn = (
  { folder, inputs }: Workspace,
  name: string,
  options: typeof TrainConfig.Encoded,
  threads = 1
): StageTask<TrainConfig> => {
  const workDir = join(folder, name, "work")
  mkdirSync(join(workDir, "out"), { recursive: true })
  return {
    pipeline: "test",
    run: "run-1",
    stage: "train",
    key: "sha256:00",
    // The plan settles what is "auto" before a stage is given its config.
    config: Schema.decodeUnknownSync(TrainConfig)({ device: "cpu", ...options }) as TrainConfig,
    inputs,
    files: {},
    workDir,
    checkpointDir: join(folder, name, "checkpoints"),
    leasePath: join(folder, "lease.json"),
    attempt: "a1",
    threads
  }
}

/** Runs the stage in this process. */
export const runHere = (
  task: StageTask<TrainConfig>,
  stopRequested: () => boolean = () => false,
  events: StageEvent[] = []
): Promise<StageResult> =>
  run({
    ...task,
    output: (name) => outputPath(task.workDir, name),
    emit: (event) => events.push(event),
    stopRequested,
    verifyLease: () => verifyLease(task.leasePath, task.attempt)
  } satisfies StageContext<TrainConfig>)

export interface ChildEnd {
  readonly events: readonly StageEvent[]
  readonly last?: Exclude<FromChild, { type: "event" }>
  readonly signal: string | null
}

export interface ChildOptions {
  /** ANNEAL_FAULT of the process. */
  readonly fault?: string
  /** Called with each event and a way to act on the process. */
  readonly onEvent?: (event: StageEvent, child: ReturnType<typeof fork>) => void
}

/** Runs the stage in its own process, from source, and waits for the end of it. */
export const runChild = (task: StageTask<TrainConfig>, { fault, onEvent }: ChildOptions = {}): Promise<ChildEnd> =>
  new Promise((done, failed) => {
    const child = fork(resolve(import.meta.dirname, "../../stages/child.ts"), {
      execArgv: ["--conditions=source", "--no-warnings"],
      env: { ...process.env, ...(fault === undefined ? {} : { ANNEAL_FAULT: fault }) }
    })
    const events: StageEvent[] = []
    let last: ChildEnd["last"]
    child.on("message", (message: FromChild) => {
      if (message.type !== "event") last = message
      else {
        events.push(message.event)
        onEvent?.(message.event, child)
      }
    })
    child.on("error", failed)
    child.on("exit", (_, signal) => done({ events, signal, ...(last === undefined ? {} : { last }) }))
    child.send({ type: "start", kind: "train", task })
  })

/** sha256 of the model's weights, whole or adapter. */
export const weightsDigest = (task: StageTask<TrainConfig>): string => {
  const folder = join(task.workDir, "out", "model")
  const file = ["model.safetensors", "adapter_model.safetensors"].map((name) => join(folder, name)).find((path) => existsSync(path))
  return createHash("sha256")
    .update(readFileSync(file as string))
    .digest("hex")
}

/** The log output of a task that was run. */
export const trainingLog = async (task: StageTask<TrainConfig>): Promise<TrainingLog> =>
  (await readTrainingLog(outputPath(task.workDir, "log"))) as TrainingLog

/** sha256 of everything that a task has put out, weights and log, files by name. */
export const outputsDigest = (task: StageTask<TrainConfig>): string => {
  const folder = join(task.workDir, "out")
  const hash = createHash("sha256")
  for (const name of (readdirSync(folder, { recursive: true, encoding: "utf8" }) as string[]).sort())
    if (statSync(join(folder, name)).isFile()) hash.update(`${name}\n`).update(readFileSync(join(folder, name)))
  return hash.digest("hex")
}
