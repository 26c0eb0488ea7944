// Checkpoints of a training run: step-<n>/ with weights, optimizer state, the log of all steps, and the rest of the state. A folder is written aside, flushed and renamed,
// so that it is whole or not there; each file's sha256 stands in state.json, so that a damaged one is found and skipped.
import { createHash } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Schema from "effect/Schema"
import { openTensorFile, readTensor, writeTensorFile } from "#src/models/weights.ts"
import { faultPoint } from "./faults.ts"
import { type FileRecord, isIntact, sealFile, sealFolder } from "./FileRecord.ts"
import type { Trainable } from "./ParamStore.ts"
import type { StepLog } from "./StepLog.ts"
import { TrainState } from "./TrainState.ts"

const Files = Schema.Record(Schema.String, Schema.Struct({ bytes: Schema.Int, sha256: Schema.String }))
const Content = Schema.Struct({ version: Schema.Literal(2), state: TrainState, files: Files })
/** `sha256` is that of `content`, so that the state itself cannot be damaged unseen. */
const Saved = Schema.Struct({ sha256: Schema.String, content: Schema.String })
type Content = typeof Content.Type

const folderOf = (step: number): string => `step-${step}`
const stateFile = "state.json"
const weightsFile = "weights.safetensors"
const optimizerFile = "optimizer.safetensors"
const logFile = "log.f64"

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")

interface NamedTensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: Float32Array
}
const weightsOf = (trainables: readonly Trainable[]): readonly NamedTensor[] =>
  trainables.map(({ name, shape, p }) => ({ name, shape, data: p }))
const optimizerOf = (trainables: readonly Trainable[]): readonly NamedTensor[] =>
  trainables.flatMap(({ name, state }) => state.map(({ key, shape, data }) => ({ name: `${key}.${name}`, shape, data })))

/** The checkpoints of one stage key: a folder of their own, so that one of another config is never taken. */
export class Checkpoints {
  readonly #folder: string
  readonly #verifyLease: () => void

  constructor(folder: string, verifyLease: () => void) {
    this.#folder = folder
    this.#verifyLease = verifyLease
    mkdirSync(folder, { recursive: true })
  }

  /** Writes step-<state.step>; returns its name and size. @throws the file system's errors, and verifyLease's before the rename */
  save(state: TrainState, trainables: readonly Trainable[], log: StepLog): { readonly name: string; readonly bytes: number } {
    const name = folderOf(state.step)
    const aside = join(this.#folder, `${name}.tmp`)
    rmSync(aside, { recursive: true, force: true })
    mkdirSync(aside)
    const weights = writeTensors(join(aside, weightsFile), weightsOf(trainables))
    faultPoint("between-checkpoint-files")
    const optimizer = writeTensors(join(aside, optimizerFile), optimizerOf(trainables))
    writeFileSync(join(aside, logFile), log.bytes())
    const steps = sealFile(join(aside, logFile))
    const files: Record<string, FileRecord> = { [weightsFile]: weights, [optimizerFile]: optimizer, [logFile]: steps }
    const content = JSON.stringify({ version: 2, state, files } satisfies Content)
    writeFileSync(join(aside, stateFile), JSON.stringify({ sha256: sha256(content), content }), { flush: true })
    sealFolder(aside)
    faultPoint("before-rename")
    this.#verifyLease()
    // Only a damaged one can have this name: a whole one would have been resumed.
    rmSync(join(this.#folder, name), { recursive: true, force: true })
    renameSync(aside, join(this.#folder, name))
    sealFolder(this.#folder)
    faultPoint("after-rename")
    return { name, bytes: weights.bytes + optimizer.bytes + steps.bytes + content.length }
  }

  /** Bytes that the disk has left. */
  room(): number {
    const { bavail, bsize } = statfsSync(this.#folder)
    return bavail * bsize
  }

  /**
   * Restores the newest checkpoint that is whole into `trainables` and `log`; with `needsBest` its best model must be whole too.
   * `skipped` is told of each damaged one. Undefined where there is none.
   */
  restore(
    trainables: readonly Trainable[],
    log: StepLog,
    needsBest: boolean,
    skipped: (name: string, why: string) => void
  ): TrainState | undefined {
    for (const name of readdirSync(this.#folder).filter((name) => name.endsWith(".tmp")))
      rmSync(join(this.#folder, name), { recursive: true })
    for (const step of this.#steps()) {
      try {
        const state = this.#verified(step, [weightsFile, optimizerFile, logFile])
        if (needsBest && state.best !== null && state.best.step !== step) this.#verified(state.best.step, [weightsFile])
        readTensors(join(this.#folder, folderOf(step), weightsFile), weightsOf(trainables))
        readTensors(join(this.#folder, folderOf(step), optimizerFile), optimizerOf(trainables))
        log.restore(readFileSync(join(this.#folder, folderOf(step), logFile)), step)
        return state
      } catch (error) {
        skipped(folderOf(step), error instanceof Error ? error.message : String(error))
      }
    }
    return undefined
  }

  /** Fills the weights alone from step-<step>. */
  restoreWeights(step: number, trainables: readonly Trainable[]): void {
    this.#verified(step, [weightsFile])
    readTensors(join(this.#folder, folderOf(step), weightsFile), weightsOf(trainables))
  }

  /** Removes all but the newest ones and `best`, `limit` in all; the newest and the best always stay. */
  prune(limit: number, best: number | undefined): void {
    const [newest, ...older] = this.#steps()
    const others = [...older.filter((step) => step === best), ...older.filter((step) => step !== best)]
    const spare = Math.max(limit - 1, newest !== best && best !== undefined ? 1 : 0)
    if (newest !== undefined) for (const step of others.slice(spare)) rmSync(join(this.#folder, folderOf(step)), { recursive: true })
  }

  /** Steps that have a folder, newest first. */
  #steps(): readonly number[] {
    return readdirSync(this.#folder)
      .flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => b - a)
  }

  #verified(step: number, files: readonly string[]): TrainState {
    const folder = join(this.#folder, folderOf(step))
    const { sha256: digest, content } = Schema.decodeUnknownSync(Schema.fromJsonString(Saved))(
      readFileSync(join(folder, stateFile), "utf8")
    )
    if (sha256(content) !== digest) throw new Error(`${stateFile} is damaged`)
    const { state, files: records } = Schema.decodeUnknownSync(Schema.fromJsonString(Content))(content)
    for (const file of files) {
      const record = records[file]
      if (record === undefined || !isIntact(join(folder, file), record)) throw new Error(`${file} is damaged`)
    }
    return state
  }
}

const writeTensors = (path: string, tensors: readonly NamedTensor[]): FileRecord => {
  const data = new Map(tensors.map((tensor) => [tensor.name, tensor.data]))
  writeTensorFile(path, tensors, (name) => data.get(name) as Float32Array)
  return sealFile(path)
}

const readTensors = (path: string, tensors: readonly NamedTensor[]): void => {
  const stored = openTensorFile(path)
  for (const { name, data } of tensors) {
    const tensor = stored.get(name)
    if (tensor === undefined) throw new Error(`${path} has no tensor ${name}`)
    readTensor(tensor, data)
  }
}
