// Which modules of a model an adapter changes, by PEFT's rules (tuners_utils.check_target_module_exists, other.get_pattern_key).
import { DataError } from "#src/domain/Errors.ts"
import { nearest } from "#src/domain/nearest.ts"
import type { Linear, Model } from "#src/models/Model.ts"

export interface TargetRules {
  /** Names that a module's path may end with, "all-linear", or a regular expression for the whole path. */
  readonly targetModules: string | readonly string[]
  /** Names, or a regular expression, of modules that are left as they are. */
  readonly excludeModules?: string | readonly string[]
  /** Numbers of the layers to change; default all. Modules given by their whole path and by a regular expression are not asked. */
  readonly layersToTransform?: readonly number[]
  /** Name of the list of layers, e.g. "layers"; default any. */
  readonly layersPattern?: readonly string[]
  /** Trained whole, so never adapted. */
  readonly modulesToSave?: readonly string[]
}

/** Whether a module's path is this name or ends with it at a dot. */
export const isNamed = (path: string, module: string): boolean => path === module || path.endsWith(`.${module}`)

/** The last part of a module's path. */
export const lastName = (path: string): string => path.split(".").at(-1) as string

/** @throws DataError where the pattern, of which `source` is made, is no regular expression */
const compiled = (source: string, pattern: string, field: string): RegExp => {
  try {
    return new RegExp(source)
  } catch (error) {
    throw new DataError({ message: `${field}: "${pattern}" is no regular expression`, why: error instanceof Error ? error.message : "" })
  }
}

const regex = (pattern: string, field: string): RegExp => compiled(`^(?:${pattern})$`, pattern, field)

/** The first of the patterns that a module's path ends with, as rank_pattern and alpha_pattern are matched. */
export const patternOf = (patterns: readonly string[], path: string, field: string): string | undefined =>
  patterns.find((pattern) => regex(`(?:.*\\.)?(?:${pattern})`, field).test(path))

/** The layer's number within `…<list>.<number>.…`; the first such place counts. */
const layerOf = (path: string, patterns: readonly string[]): number | undefined => {
  const tries =
    patterns.length === 0
      ? [/^.*?\.[^.]*\.(\d+)\./]
      : patterns.map((pattern) => compiled(`(?:^|^.*?\\.)(?:${pattern})\\.(\\d+)\\.`, pattern, "layersPattern"))
  for (const found of tries.map((each) => each.exec(path))) if (found !== null) return Number(found[1])
  return undefined
}

/** Whether the path, or a module that it lies in, bears one of the names. */
const isWithin = (path: string, modules: readonly string[]): boolean => modules.some((module) => `.${path}.`.includes(`.${module}.`))

const isExcluded = (path: string, { excludeModules = [], modulesToSave = [] }: TargetRules): boolean => {
  if (isWithin(path, modulesToSave)) return true
  return typeof excludeModules === "string"
    ? regex(excludeModules, "excludeModules").test(path)
    : excludeModules.some((module) => isNamed(path, module))
}

const isTargeted = (path: string, rules: TargetRules): boolean => {
  const { targetModules, layersToTransform = [], layersPattern = [] } = rules
  if (isExcluded(path, rules)) return false
  if (typeof targetModules === "string") return regex(targetModules, "targetModules").test(path)
  if (targetModules.includes(path)) return true
  if (!targetModules.some((module) => isNamed(path, module))) return false
  const layer = layersToTransform.length === 0 ? undefined : layerOf(path, layersPattern)
  return layersToTransform.length === 0 || (layer !== undefined && layersToTransform.includes(layer))
}

/** Every module that can be a target, in the order of the forward pass. */
const modulesOf = ({ embedding, linears, head }: Model): readonly string[] => [embedding, ...linears.map(({ path }) => path), head.path]

/** "all-linear" as the names that PEFT writes for it: every linear layer of the blocks, not the output head. */
const namedModules = (model: Model, modules: string | readonly string[]): string | readonly string[] =>
  modules === "all-linear" ? [...new Set(model.linears.map(({ path }) => lastName(path)))].toSorted() : modules

/** The modules that a tensor lies in, by path, the outermost first. */
export const modulesAround = (tensor: string): readonly string[] => {
  const parts = tensor.split(".")
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("."))
}

/**
 * targetModules as they stand in an adapter's config: "all-linear" by names. PEFT refuses a regular expression that also fits a module of
 * another kind (a block, a norm, an activation function), so one that does is held to the names of the layers that it means.
 */
export const writtenModules = (model: Model, modules: string | readonly string[]): string | readonly string[] => {
  const named = namedModules(model, modules)
  if (typeof named !== "string") return named
  const pattern = regex(named, "targetModules")
  const layers = modulesOf(model)
  const others = new Set(model.parameters.flatMap(({ name }) => modulesAround(name)).filter((path) => !layers.includes(path)))
  // Modules without a tensor have names that are not known here: one that no model has stands for them.
  const fitsOther = [...others].some((path) => pattern.test(path) || pattern.test(`${path}.?`))
  if (!fitsOther) return named
  const names = new Set(layers.filter((path) => pattern.test(path)).map(lastName))
  return `(?=(?:.*\\.)?(?:${[...names].join("|")})$)(?:${named})`
}

export interface Targets {
  /** In the order of the forward pass, the output head last. */
  readonly linears: readonly Linear[]
  readonly embedding: boolean
}

/** The modules that the rules mean. @throws DataError where there is none */
export const targetsOf = (model: Model, given: TargetRules): Targets => {
  const rules = { ...given, targetModules: namedModules(model, given.targetModules) }
  const linears = [...model.linears, model.head].filter(({ path }) => isTargeted(path, rules))
  const embedding = isTargeted(model.embedding, rules)
  if (linears.length > 0 || embedding) return { linears, embedding }
  throw new DataError({
    message: `targetModules: ${JSON.stringify(given.targetModules)} leaves no module of this ${model.modelType} model to adapt`,
    hint: hintOf(given.targetModules, available(model))
  })
}

const available = (model: Model): readonly string[] => [...new Set(modulesOf(model).map(lastName))]

const hintOf = (given: string | readonly string[], names: readonly string[]): string => {
  const near = [given].flat().flatMap((name) => nearest(lastName(name), names) ?? [])
  return `${near.length === 0 ? "" : `did you mean ${near.join(", ")}? `}available: ${names.join(", ")}, or "all-linear"`
}

/** Finds settings that would be silently without effect. @throws DataError naming the field, the value and what there is */
export const checkTargets = (model: Model, rules: TargetRules): void => {
  const names = available(model)
  const refuse = (message: string, hint: string): never => {
    throw new DataError({ message, where: "method", hint })
  }
  const { targetModules, excludeModules, layersToTransform, layersPattern } = rules
  for (const [field, modules] of Object.entries({ targetModules, excludeModules })) {
    if (modules === undefined || modules === "all-linear") continue
    const found = (module: string): boolean =>
      modulesOf(model).some((path) => (typeof modules === "string" ? regex(module, field).test(path) : isNamed(path, module)))
    const unknown = [modules].flat().find((module) => !found(module))
    if (unknown !== undefined) refuse(`${field}: no module of this ${model.modelType} model is "${unknown}"`, hintOf(unknown, names))
  }
  if (layersPattern !== undefined && layersToTransform === undefined)
    refuse("layersPattern is set without layersToTransform", "say which layers, or leave layersPattern out")
  if (layersToTransform === undefined) return
  if (typeof targetModules === "string" && targetModules !== "all-linear")
    refuse("layersToTransform cannot be used when targetModules is a regular expression", "name the layers in the expression")
  const layers = model.config.num_hidden_layers
  const beyond = layersToTransform.find((layer) => layer >= layers)
  if (beyond !== undefined) refuse(`layersToTransform: there is no layer ${beyond}`, `this model has layers 0 to ${layers - 1}`)
  const lost = layersPattern?.find((pattern) => !model.linears.some(({ path }) => layerOf(path, [pattern]) !== undefined))
  if (lost !== undefined) refuse(`layersPattern: no module path has "${lost}.<number>."`, `e.g. of ${model.linears[0]?.path}`)
}

/**
 * The config as PEFT reads it over a model that is a part of a larger one (text beside an image encoder): the larger one's other
 * modules are excluded, because many have the names of the model's own.
 */
export const withinModel = <C extends Pick<TargetRules, "excludeModules">>({ kept }: Model, config: C): C => {
  if (kept === undefined) return config
  const outside = `${kept.source.replace(/^\^/, "")}.*`
  const { excludeModules = [] } = config
  const own =
    typeof excludeModules === "string" ? [excludeModules] : excludeModules.map((name) => `(?:.*\\.)?${name.replaceAll(".", "\\.")}`)
  return { ...config, excludeModules: [...own, outside].map((pattern) => `(?:${pattern})`).join("|") }
}

/** @throws DataError where a pattern fits none of the adapted modules */
export const checkPatterns = (field: string, patterns: readonly string[], paths: readonly string[]): void => {
  const lost = patterns.find((pattern) => !paths.some((path) => patternOf([pattern], path, field) !== undefined))
  if (lost === undefined) return
  const names = [...new Set(paths.map(lastName))]
  const near = nearest(lastName(lost), names)
  throw new DataError({
    message: `${field}: no adapted module fits "${lost}"`,
    where: "method",
    hint: `${near === undefined ? "" : `did you mean ${near}? `}adapted: ${names.join(", ")}`
  })
}
