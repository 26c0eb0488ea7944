// Which layers see all earlier tokens and which only a window of them: `layer_types`, and the older fields that it replaced.
import * as Schema from "effect/Schema"
import { flag, maybe, refuse, Size } from "./config.ts"

export type LayerType = "full_attention" | "sliding_attention"
export const LayerTypes = maybe(Schema.Array(Schema.Literals(["full_attention", "sliding_attention"])))

/** How far each layer's tokens see, themselves counted; null = all before. */
export type Windows = readonly (number | null)[]

/** The type of each layer: as listed, else as `otherwise` says. @throws DataError where the list has another length */
export const layerTypes = (
  listed: readonly LayerType[] | null | undefined,
  layers: number,
  otherwise: (layer: number) => LayerType,
  where: string
): readonly LayerType[] => {
  const types = listed ?? Array.from({ length: layers }, (_, layer) => otherwise(layer))
  return types.length === layers ? types : refuse(`layer_types has ${types.length} entries for ${layers} layers`, where)
}

/** @throws DataError where a sliding layer has no window */
export const windowsOf = (types: readonly LayerType[], window: number | null, where: string): Windows =>
  types.map((type) =>
    type === "full_attention" ? null : (window ?? refuse("layer_types has sliding layers, but there is no sliding_window", where))
  )

// --- Qwen's fields: a window, whether it is used, and the first layer that it is used in ---

export const upperWindowFields = {
  use_sliding_window: flag,
  sliding_window: maybe(Size),
  max_window_layers: Schema.optionalKey(Schema.Int),
  layer_types: LayerTypes
}

interface UpperWindows {
  readonly num_hidden_layers: number
  readonly use_sliding_window?: boolean
  readonly sliding_window?: number | null
  readonly max_window_layers?: number
  readonly layer_types?: readonly LayerType[] | null
}

/** Defaults are those of transformers' Qwen2Config and Qwen3Config. @throws DataError */
export const upperWindows = (fields: UpperWindows, where: string): Windows => {
  const { num_hidden_layers: layers, use_sliding_window: used = false, max_window_layers: first = 28, sliding_window = 4096 } = fields
  const window = used ? sliding_window : null
  const isSliding = (layer: number): boolean => window !== null && layer >= first
  const types = layerTypes(fields.layer_types, layers, (layer) => (isSliding(layer) ? "sliding_attention" : "full_attention"), where)
  return windowsOf(types, window, where)
}
