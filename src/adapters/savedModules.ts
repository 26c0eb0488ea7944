// Modules that are trained whole beside an adapter (PEFT's modules_to_save): a copy of each of their tensors stands in for the model's.
import { DataError } from "#src/domain/Errors.ts"
import { hintFor } from "#src/domain/nearest.ts"
import { gather } from "#src/graph/ops/index.ts"
import type { Value } from "#src/graph/Value.ts"
import type { Linear, Model, Parameter } from "#src/models/Model.ts"
import type { AdapterArgs, AlsoSaved } from "./Adapter.ts"
import { lastName, modulesAround } from "./targets.ts"

export interface SavedModules {
  /** Trained tensors, each with the model's tensor that it begins as. */
  readonly tensors: readonly { readonly parameter: Parameter; readonly from: string }[]
  readonly replaces: ReadonlyMap<string, string>
  readonly alsoSaved: readonly AlsoSaved[]
  /** A tied head and embedding that are trained apart: the model has one tensor for both, so it cannot hold the result. */
  readonly apart?: { readonly head?: string; readonly embedding?: string }
}

/** PEFT's name of a module's tensor. */
const nameOf = (tensor: string): string => `base_model.model.${tensor}`

/** Name of the head's weight among the model's tensors: the embedding's where they are tied. */
export const headWeight = (model: Model): string => `${model.config.tie_word_embeddings ? model.embedding : model.head.path}.weight`

/** `adapted`: paths of the modules that the adapter changes. @throws DataError where a name fits no module, or also one of these */
export const checkSavedModules = (model: Model, names: readonly string[], adapted: readonly string[]): void => {
  for (const name of names) {
    const both = adapted.find((path) => path.endsWith(name))
    if (both !== undefined)
      throw new DataError({
        message: `modulesToSave: "${name}" also fits ${both}, which is adapted`,
        where: "method",
        hint: "names fit the end of a module's path: write more of it, or leave the module out of targetModules"
      })
  }
  const modules = [...new Set([...model.parameters.flatMap(({ name }) => modulesAround(name)), model.head.path])]
  const unknown = names.find((name) => !modules.some((module) => module.endsWith(name)))
  if (unknown === undefined) return
  throw new DataError({
    message: `modulesToSave: no module of this ${model.modelType} model is "${unknown}"`,
    where: "method",
    hint: hintFor(
      unknown,
      [...new Set([model.embedding, model.head.path, ...modules].map(lastName))].filter((name) => !/^\d+$/.test(name))
    )
  })
}

/** `tied`: a tied head and embedding stay one tensor (PEFT's ensure_weight_tying). Names match the end of a module's path, as in PEFT. */
export const savedModules = (model: Model, names: readonly string[], tied: boolean): SavedModules => {
  const isNamed = (module: string): boolean => names.some((name) => module.endsWith(name))
  const { embedding, head } = model
  const shared = `${embedding}.weight`
  const isTied = model.config.tie_word_embeddings && (isNamed(embedding) || isNamed(head.path))
  const own = model.parameters.filter(({ name }) => modulesAround(name).some(isNamed) && !(isTied && name === shared))
  const tensors = own.map((parameter) => ({ parameter: { ...parameter, name: nameOf(parameter.name) }, from: parameter.name }))
  const replaces = new Map(own.map(({ name }) => [name, nameOf(name)]))
  if (!isTied) return { tensors, replaces, alsoSaved: [] }
  const one = model.parameters.find(({ name }) => name === shared) as Parameter
  const copy = (module: string) => ({ parameter: { ...one, name: nameOf(`${module}.weight`) }, from: shared })
  if (tied) {
    const { parameter } = copy(embedding)
    return {
      tensors: [{ parameter, from: shared }, ...tensors],
      replaces: new Map([...replaces, [shared, parameter.name]]),
      alsoSaved: [{ name: nameOf(`${head.path}.weight`), shape: one.shape, of: parameter.name }]
    }
  }
  const apart = {
    ...(isNamed(embedding) ? { embedding: nameOf(`${embedding}.weight`) } : {}),
    ...(isNamed(head.path) ? { head: nameOf(`${head.path}.weight`) } : {})
  }
  const copies = [embedding, head.path].filter(isNamed).map(copy)
  return { tensors: [...copies, ...tensors], replaces, alsoSaved: [], apart }
}

/** Where all biases are trained PEFT saves those of modules that are trained whole under three names: its own, the copy's, the original's. */
export const biasesOfSaved = (names: readonly string[], { tensors }: SavedModules): readonly AlsoSaved[] =>
  tensors
    .filter(({ from }) => from.endsWith(".bias"))
    .flatMap(({ parameter: { name, shape }, from }) =>
      modulesAround(from)
        .filter((module) => names.some((name) => module.endsWith(name)))
        .flatMap((module) => {
          const inside = from.slice(module.length + 1)
          const copy = inside === "bias" ? "modules_to_save" : "modules_to_save.default"
          return [
            { name: nameOf(`${module}.${copy}.${inside}`), shape, of: name },
            { name: nameOf(`${module}.original_module.${inside}`), shape, of: from }
          ]
        })
    )

/** PEFT's EMBEDDING_LAYER_NAMES. */
const embeddingNames = ["embed_tokens", "lm_head"]

/** Where targetModules names one of these, PEFT saves the weights below the embedding's and the head's adapters too. `adapts`: by path. */
export const embeddingBases = (
  model: Model,
  targetModules: string | readonly string[],
  adapts: (path: string) => boolean
): readonly AlsoSaved[] => {
  const adapted = [model.embedding, model.head.path].filter(adapts)
  const named =
    typeof targetModules === "string"
      ? adapted.some((path) => embeddingNames.includes(lastName(path)))
      : embeddingNames.some((name) => targetModules.includes(name))
  const shape = [model.vocabSize, model.config.hidden_size]
  return (named ? adapted : []).map((path) => ({
    name: nameOf(`${path}.base_layer.weight`),
    shape,
    of: path === model.head.path ? headWeight(model) : `${path}.weight`
  }))
}

/** The weight that a layer is computed with: a head trained apart from its tied embedding has one of its own. */
export const ownWeight = (model: Model, { apart }: SavedModules, layer: Linear, plain: Value, param: AdapterArgs["param"]): Value =>
  apart?.head !== undefined && layer.path === model.head.path ? param(apart.head) : plain

/** The rows of ids: of an embedding trained apart from its tied head, else as they are. */
export const ownEmbedding = (
  model: Model,
  { apart }: SavedModules,
  ids: Value,
  plain: Value,
  scaled: (rows: Value) => Value,
  param: AdapterArgs["param"]
): Value => {
  if (apart?.embedding === undefined) return plain
  const padding = model.config.pad_token_id
  return scaled(gather(param(apart.embedding), ids, padding === null ? {} : { paddingIdx: padding }))
}
