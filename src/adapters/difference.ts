// In what two adapter configs differ that matters to the adapter's tensors: an adapter can only be trained further as what it is.
import type { AdapterConfig } from "#src/formats/adapterConfig.ts"
import type { Model } from "#src/models/Model.ts"
import { adapterOf } from "./peft.ts"

/** Say where an adapter came from, how it began and how it is trained, not what it is. */
const withoutEffect = new Set(["baseModel", "loraDropout", "initLoraWeights", "initText", "fanInFanOut"])
/** Different texts may mean the same modules: what counts are the tensors. */
const selecting = new Set(["targetModules", "excludeModules", "layersToTransform", "layersPattern", "feedforwardModules", "modulesToSave"])

export interface ConfigDifference {
  readonly field: string
  readonly a: unknown
  readonly b: unknown
}

/** Lists are sets here. */
const text = (value: unknown): string => {
  const of = (each: unknown): string => JSON.stringify(each) ?? "nothing"
  return Array.isArray(value)
    ? value
        .map(of)
        .toSorted((a, b) => (a < b ? -1 : 1))
        .join()
    : of(value)
}

const tensorsOf = (model: Model, config: AdapterConfig): string =>
  text(adapterOf(model, config).parameters.map(({ name, shape }) => `${name} ${shape.join()}`))

/** The first difference; undefined where both mean the same adapter of the model. */
export const configDifference = (model: Model, a: AdapterConfig, b: AdapterConfig): ConfigDifference | undefined => {
  const [x, y] = [a, b] as readonly [object, object] as readonly [Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>]
  const fields = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((field) => !withoutEffect.has(field))
  const differing = fields.filter((field) => text(x[field]) !== text(y[field]))
  const plain = differing.find((field) => !selecting.has(field))
  const field = plain ?? (differing.length > 0 && tensorsOf(model, a) !== tensorsOf(model, b) ? differing[0] : undefined)
  return field === undefined ? undefined : { field, a: x[field], b: y[field] }
}
