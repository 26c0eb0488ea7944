// Adapter folders in PEFT's own format: adapter_config.json and adapter_model.safetensors. The one place that knows all kinds.
import { join } from "node:path"
import { type AdapterConfig, formatAdapterConfig, parseAdapterConfig } from "#src/formats/adapterConfig.ts"
import { bindTensors } from "#src/models/load.ts"
import type { Model, Parameter, Weights } from "#src/models/Model.ts"
import { hasFile, openTensorFile, readText, type StoredTensor, writeTensorFile, writeText } from "#src/models/weights.ts"
import type { Adapter, AlsoSaved } from "./Adapter.ts"
import { ia3Adapter, ia3ConfigOf } from "./ia3.ts"
import { loraAdapter } from "./lora.ts"
import { loraConfigOf } from "./loraConfig.ts"
import type { AdapterMethod } from "./options.ts"
import { prefixAdapter, prefixConfigOf } from "./prefix.ts"
import { promptAdapter, promptConfigOf } from "./prompt.ts"
import { withinModel } from "./targets.ts"

const configFile = "adapter_config.json"
const tensorFile = "adapter_model.safetensors"
/** Ours, besides PEFT's: the trained tensors, where PEFT's file does not tell them. */
const encoderFile = "encoder.safetensors"

export interface LoadedAdapter {
  readonly config: AdapterConfig
  /** Over `weights`, the saved tensors. */
  readonly adapter: Adapter
  readonly weights: Weights
  /** The tensors that training goes on from; undefined where the folder does not hold them. */
  readonly trained: Weights | undefined
  /** The base with the tensors of its own that the adapter's file holds: PEFT loads these too. */
  readonly overBase: (base: Weights) => Weights
}

/** A training method as the config that its result is saved with. `baseModel` is the base's folder or name. */
export const configOf = (model: Model, method: AdapterMethod, baseModel: string): AdapterConfig => {
  switch (method.type) {
    case "lora":
      return withinModel(model, loraConfigOf(model, method, baseModel))
    case "qlora":
      return withinModel(model, loraConfigOf(model, { ...method, type: "lora" }, baseModel))
    case "ia3":
      return withinModel(model, ia3ConfigOf(model, method, baseModel))
    case "prefix":
      return prefixConfigOf(model, method, baseModel)
    case "promptTuning":
      return promptConfigOf(model, method, baseModel)
  }
}

/** What a config says, over a model, as it is trained. @throws DataError where it does not fit the model */
export const adapterOf = (model: Model, config: AdapterConfig): Adapter => {
  switch (config.peftType) {
    case "LORA":
      return loraAdapter(model, config)
    case "IA3":
      return ia3Adapter(model, config)
    case "PREFIX_TUNING":
      return prefixAdapter(model, config)
    case "PROMPT_TUNING":
      return promptAdapter(model, config)
  }
}

/** The adapter_config.json of a folder. @throws DataError where it is missing, damaged, or asks for more than anneal does */
export const readAdapterConfig = (folder: string): AdapterConfig => {
  const where = join(folder, configFile)
  return parseAdapterConfig(readText(where), where)
}

/** Reads an adapter of `model`. @throws DataError where it is damaged, of another model, or more than anneal does */
export const loadAdapter = async (folder: string, model: Model): Promise<LoadedAdapter> => {
  const config = readAdapterConfig(folder)
  const path = join(folder, tensorFile)
  const whole = adapterOf(model, config)
  const adapter = whole.saved?.adapter ?? whole
  const tensors = openTensorFile(path)
  const also = (adapter.alsoSaved ?? []).filter(({ name }) => tensors.has(name))
  const names = also.map(({ name }) => name)
  const weights = bindTensors(adapter.parameters, tensors, names, path)
  const copies = bindTensors(also.map(frozen), new Map(names.map((name) => [name, tensors.get(name) as StoredTensor])), [], path)
  return {
    config,
    adapter,
    weights,
    trained: trainedTensors(folder, whole, weights),
    overBase: (base) => overlaid(base, new Map(also.map(({ name, of }) => [of, name])), copies)
  }
}

const trainedTensors = (folder: string, { parameters, saved }: Adapter, weights: Weights): Weights | undefined => {
  if (saved === undefined) return weights
  if (saved.decode !== undefined) return saved.decode(weights)
  const path = join(folder, encoderFile)
  return hasFile(path) ? bindTensors(parameters, openTensorFile(path), [], path) : undefined
}

/** A tensor of the file that is not trained, as bindTensors checks it. */
const frozen = ({ name, shape }: AlsoSaved): Parameter => ({ name, shape, decay: false, init: { kind: "constant", value: 0 } })

const overlaid = (base: Weights, copyOf: ReadonlyMap<string, string>, copies: Weights): Weights => ({
  has: base.has,
  ...(base.quantized === undefined ? {} : { quantized: (name: string) => (copyOf.has(name) ? undefined : base.quantized?.(name)) }),
  read: (name, into) => {
    const copy = copyOf.get(name)
    return copy === undefined ? base.read(name, into) : copies.read(copy, into)
  }
})

/** Writes an adapter that PEFT loads. `trained` are its tensors as they are trained, `base` the model's. The same tensors always give the same bytes. */
export const saveAdapter = async (
  folder: string,
  model: Model,
  config: AdapterConfig,
  trained: Source,
  base: Source,
  revision?: string
): Promise<void> => {
  const whole = adapterOf(model, config)
  const { saved } = whole
  const own = saved?.encode(trained) ?? trained
  if (saved !== undefined && saved.decode === undefined)
    writeTensorFile(join(folder, encoderFile), whole.parameters, (name) => trained.read(name))
  const { parameters, alsoSaved = [] } = saved?.adapter ?? whole
  const ours = new Set(parameters.map(({ name }) => name))
  const sources = new Map(alsoSaved.map(({ name, of }) => [name, of]))
  writeText(join(folder, configFile), formatAdapterConfig(config, revision))
  writeTensorFile(join(folder, tensorFile), [...parameters, ...alsoSaved], (name) => {
    const source = sources.get(name) ?? name
    return (ours.has(source) ? own : base).read(source)
  })
}

type Source = Pick<Weights, "read">
