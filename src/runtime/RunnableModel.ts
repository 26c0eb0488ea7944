// A model folder made ready to run: a base, a fully fine-tuned model or an adapter over its base, all as one set of weights.
// Scorer, Generator and export read models through this.
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Adapter } from "#src/adapters/Adapter.ts"
import { loadAdapter, readAdapterConfig } from "#src/adapters/peft.ts"
import { DataError } from "#src/domain/Errors.ts"
import type { ModelInfo } from "#src/domain/ModelInfo.ts"
import { loadModel } from "#src/models/load.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { dequantisedWeights } from "#src/models/quantized.ts"
import { freeze, inMemory, type Frozen } from "./Frozen.ts"
import { isAdapterFolder, readModelInfo } from "./ModelFolder.ts"

/** What a graph is built from and fed with. */
export interface Runnable {
  readonly model: Model
  /** One that is not merged into the model's own tensors: its graphs are built with it. */
  readonly adapter?: Adapter
  /** Every tensor that `model` and `adapter` read, in the form in which it lies in memory. */
  readonly parameters: readonly Frozen[]
}

export interface RunnableModel extends Runnable {
  readonly folder: string
  /** Folder of its config.json and tokenizer: the model's own, or its base's for an adapter that came without. */
  readonly textFolder: string
  /** anneal.json; undefined for a folder that anneal did not train. */
  readonly info: ModelInfo | undefined
}

/**
 * Gives the folder of an adapter's base, having made sure that it is the one of the training; `base` is undefined for an adapter
 * that anneal did not train, `named` what its adapter_config.json calls the base. @throws DataError, UsageError
 */
export type FindBase = (base: ModelInfo["base"] | undefined, named: string) => Promise<string>

export interface OpenOptions {
  /** An adapter is worked into its base where it can be: default true. */
  readonly merged?: boolean
}

/** Reads a model folder's weights, all of them. @throws DataError where the folder is damaged or an adapter's base is gone */
export const openModel = async (folder: string, findBase: FindBase, { merged = true }: OpenOptions = {}): Promise<RunnableModel> => {
  const info = await readModelInfo(folder)
  if (!isAdapterFolder(folder)) return { folder, textFolder: folder, info, ...withParameters(await loadModel(folder)) }
  const adapted = await openAdapter(folder, findBase)
  return { folder, textFolder: adapted.textFolder, info, ...withParameters(merged ? runnable(adapted) : adapted) }
}

export interface MergedModel extends Pick<Adapted, "model" | "weights" | "textFolder"> {
  readonly info: ModelInfo | undefined
}

/**
 * Which values of the base an adapter is worked into: those that it was trained over, or, where these were quantised to 4 bits, the
 * base's own before that.
 */
export type BaseValues = "trained" | "original"

/** An adapter worked into its base: a whole model, each tensor computed when it is read. @throws DataError where it has no such form */
export const openMerged = async (folder: string, findBase: FindBase, values: BaseValues = "trained"): Promise<MergedModel> => {
  const { model, textFolder, original, weights: trained, adapter } = await openAdapter(folder, findBase)
  const weights = adapter.adapter.merge?.(values === "original" ? original : trained, adapter.weights)
  if (weights !== undefined) return { model, weights, textFolder, info: await readModelInfo(folder) }
  throw new DataError({
    message: "this adapter cannot be worked into its base",
    where: folder,
    why: model.config.tie_word_embeddings
      ? "it adds tokens or a prefix, or it changes only one of the head and the embedding, which this base holds as one tensor"
      : "it adds tokens or a prefix",
    hint: "use it as an adapter"
  })
}

interface Opened {
  readonly model: Model
  readonly weights: Weights
  readonly adapter?: { readonly adapter: Adapter; readonly weights: Weights }
}

const withParameters = ({ model, weights, adapter }: Opened): Runnable => {
  if (adapter === undefined) return { model, parameters: freeze(model.parameters, weights, { halves: false }) }
  const kept = model.parameters.filter(({ name }) => !adapter.adapter.replaces.has(name))
  return {
    model,
    adapter: adapter.adapter,
    parameters: [...freeze(kept, weights, { halves: false }), ...inMemory(adapter.adapter.parameters, adapter.weights)]
  }
}

interface Adapted extends Opened {
  readonly adapter: NonNullable<Opened["adapter"]>
  readonly textFolder: string
  /** The base's weights as its files have them. */
  readonly original: Weights
}

/** An adapter and the base that it was trained over. */
const openAdapter = async (folder: string, findBase: FindBase): Promise<Adapted> => {
  const info = await readModelInfo(folder)
  const base = await findBase(info?.base, readAdapterConfig(folder).baseModel)
  const { model, weights } = await loadModel(base)
  const adapter = await loadAdapter(folder, model)
  const textFolder = ["config.json", "tokenizer.json"].every((file) => existsSync(join(folder, file))) ? folder : base
  const original = adapter.overBase(weights)
  return { model, weights: trainedOver(model, original, info), original, adapter, textFolder }
}

/** The base with the values that it had while the adapter was trained. */
const trainedOver = (model: Model, weights: Weights, info: ModelInfo | undefined): Weights =>
  info?.quantization === undefined || weights.quantized !== undefined ? weights : dequantisedWeights(model, weights, info.quantization)

/**
 * Merged where the method can be, because a step of generation then costs no more than the base's. Not over a base that is stored in
 * 4 bits, because the result would take eight times its memory.
 */
const runnable = ({ model, weights, adapter }: Adapted): Opened => {
  const merged = weights.quantized === undefined ? adapter.adapter.merge?.(weights, adapter.weights) : undefined
  return merged === undefined ? { model, weights, adapter } : { model, weights: merged }
}
