// Which layers of a model an adapter changes, by the rules of PEFT's target_modules.
import { DataError } from "#src/domain/Errors.ts"
import { hintFor } from "#src/domain/nearest.ts"
import type { Linear, Model } from "#src/models/Model.ts"

/** Whether a module's path is this name or ends with it at a dot. */
export const isNamed = (path: string, module: string): boolean => path === module || path.endsWith(`.${module}`)

/** The last part of a module's path. */
export const lastName = (path: string): string => path.split(".").at(-1) as string

/**
 * The linear layers whose path ends with one of the module names, or all but the output head.
 * @param field the option's name, for the error
 * @throws DataError where a name fits no layer
 */
export const targetLinears = (model: Model, modules: "all-linear" | readonly string[], field = "targetModules"): readonly Linear[] => {
  if (modules === "all-linear") return model.linears
  const unknown = modules.find((module) => !model.linears.some(({ path }) => isNamed(path, module)))
  if (unknown === undefined) return model.linears.filter(({ path }) => modules.some((module) => isNamed(path, module)))
  const available = [...new Set(model.linears.map(({ path }) => lastName(path)))]
  throw new DataError({
    message: `${field}: no linear layer of this ${model.modelType} model is named "${unknown}"`,
    why: `available: ${available.join(", ")}, or "all-linear"`,
    hint: hintFor(unknown, available)
  })
}

/** "all-linear" as the names that PEFT writes for it. */
export const namedModules = (model: Model, modules: "all-linear" | readonly string[]): readonly string[] =>
  modules === "all-linear" ? [...new Set(model.linears.map(({ path }) => lastName(path)))].toSorted() : modules
