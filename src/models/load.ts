// Opens a model folder in Hugging Face layout: config.json decides the family, the tensors are checked against it, none is read yet.
import { join } from "node:path"
import { DataError } from "#src/domain/Errors.ts"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { modelOf } from "./families.ts"
import type { Beside, Model, Parameter, Weights } from "./Model.ts"
import { openQuantized, withQuantized } from "./quantized.ts"
import { isReadable, openTensors, readTensor, readText, sameTensor } from "./weights.ts"
import type { StoredTensor, StoredTensors } from "./weights.ts"

const readConfig = (folder: string): { readonly model: Model; readonly fourBit: boolean } => {
  const where = join(folder, "config.json")
  const config = parseConfig(readText(where), where)
  return { model: modelOf(config, where), fourBit: config.fourBit }
}

/** The model that a folder's config.json describes; its weights need not be there. @throws DataError */
export const loadConfig = async (folder: string): Promise<Model> => readConfig(folder).model

/** The model of a folder and its weights, which are read from the files tensor by tensor when asked for. @throws DataError */
export const loadModel = async (folder: string): Promise<{ readonly model: Model; readonly weights: Weights }> => {
  const { model, fourBit } = readConfig(folder)
  const tensors = ownNames(openTensors(folder), model)
  for (const parameter of model.parameters) checkTied(parameter, tensors, folder)
  const quantized = fourBit ? openQuantized(model, tensors) : undefined
  const aliases = model.parameters.flatMap(({ alias }) => alias ?? [])
  const besides = [...tensors].filter(([name]) => model.kept?.test(name) === true).map(([name, tensor]) => besideOf(name, tensor))
  const kept = new Set(besides.map(({ name }) => name))
  const extra = [...tensors.keys()].filter((name) => model.ignored.test(name) || kept.has(name) || aliases.includes(name))
  const plain = bindTensors(model.parameters, tensors, [...extra, ...(quantized?.sides ?? [])], folder, quantized?.tensors)
  return { model: { ...model, besides }, weights: quantized === undefined ? plain : withQuantized(plain, quantized) }
}

const ownNames = (tensors: StoredTensors, { fileNames }: Model): StoredTensors =>
  fileNames === undefined ? tensors : new Map([...tensors].map(([name, tensor]) => [fileNames.toOwn(name), tensor]))

/** A tied head that is stored beside the embedding must be its copy: transformers would not tie it, and nobody could tell which is meant. */
const checkTied = ({ name, alias = name }: Parameter, tensors: StoredTensors, where: string): void => {
  const [own, other] = [tensors.get(name), tensors.get(alias)]
  if (own === undefined || other === undefined || own === other || sameTensor(own, other)) return
  throw new DataError({
    message: `${alias} has other values than ${name}, but tie_word_embeddings says that they are one tensor`,
    where,
    hint: `set tie_word_embeddings to false in config.json to use both, or leave ${alias} out of the files`
  })
}

const besideOf = (name: string, tensor: StoredTensor): Beside => ({
  name,
  shape: tensor.shape,
  read: () => {
    checkReadable(tensor)
    return readTensor(tensor)
  }
})

/**
 * Weights of `parameters` from a file's tensors, which must be exactly these and may be some of `extra`: a tensor that has no
 * place in the model means that the model is another one than its config says. Those of `checked` may have any shape and type.
 * @throws DataError naming tensors that are missing, unexpected, of another shape or of a type that holds no weights
 */
export const bindTensors = (
  parameters: readonly Parameter[],
  tensors: StoredTensors,
  extra: readonly string[],
  where: string,
  checked: Pick<ReadonlyMap<string, unknown>, "has"> = new Map()
): Weights => {
  const found = new Map(parameters.map(({ name, alias }) => [name, tensors.get(name) ?? tensors.get(alias ?? name)]))
  const missing = parameters.filter(({ name }) => found.get(name) === undefined).map(({ name }) => name)
  if (missing.length > 0) throw new DataError({ message: `missing ${listed(missing)}`, where, why: "the model's config asks for them" })
  const besides = new Set(extra)
  const unexpected = [...tensors.keys()].filter((name) => !found.has(name) && !besides.has(name))
  if (unexpected.length > 0) {
    throw new DataError({ message: `unexpected ${listed(unexpected)}`, where, why: "the model's config has no place for them" })
  }
  for (const parameter of parameters) if (!checked.has(parameter.name)) check(parameter, found.get(parameter.name) as StoredTensor)
  const get = (name: string): StoredTensor => {
    const tensor = found.get(name)
    if (tensor === undefined) throw new DataError({ message: `the model has no tensor ${name}`, where })
    return tensor
  }
  return { has: (name) => found.has(name), read: (name, into) => readTensor(get(name), into), stored: (name) => found.get(name) }
}

const listed = (names: readonly string[]): string =>
  `${names.length === 1 ? "tensor" : `${names.length} tensors`}: ${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}`

const check = ({ shape }: Parameter, tensor: StoredTensor): void => {
  const { name, path, ...stored } = tensor
  if (stored.shape.join() !== shape.join()) {
    throw new DataError({
      message: `${name} has the shape [${stored.shape.join(", ")}], the model's config asks for [${shape.join(", ")}]`,
      where: path,
      hint: "config and weights must come from the same model"
    })
  }
  checkReadable(tensor)
}

const checkReadable = ({ name, dtype, path }: StoredTensor): void => {
  if (!isReadable(dtype)) throw new DataError({ message: `${name} has the dtype ${dtype}; F32, F16 and BF16 are supported`, where: path })
}
