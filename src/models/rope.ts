// Rotary position embedding: frequencies per pair of dimensions (transformers' modeling_rope_utils) and their cos and sin tables.
import * as Schema from "effect/Schema"
import { decodeObject } from "#src/formats/decode.ts"
import type { JsonObject } from "#src/formats/decode.ts"
import type { DType } from "#src/graph/Type.ts"
import type { GraphBuilder, Value } from "#src/graph/Value.ts"

const Positive = Schema.Finite.check(Schema.isGreaterThan(0))

const Rope = Schema.Struct({
  rope_type: Schema.Literals(["default", "llama3"]),
  rope_theta: Positive,
  partial_rotary_factor: Schema.optionalKey(Schema.Literal(1))
})
const Llama3Scaling = Schema.Struct({
  factor: Positive,
  low_freq_factor: Positive,
  high_freq_factor: Positive,
  original_max_position_embeddings: Positive
})

/** `rope_parameters` of a config as inverse frequencies, [head_dim / 2] in radians per position. @throws DataError */
export const inverseFrequencies = (parameters: JsonObject, headDim: number, where: string): Float32Array => {
  const { rope_type, rope_theta } = decodeObject(Rope, parameters, `${where}: rope_parameters`)
  const plain = Float32Array.from({ length: headDim / 2 }, (_, i) => 1 / rope_theta ** ((2 * i) / headDim))
  if (rope_type === "default") return plain
  return llama3(plain, decodeObject(Llama3Scaling, parameters, `${where}: rope_parameters`))
}

/**
 * Llama 3.1: with wavelength w = 2 pi / f and the original context n, frequencies of w > n/low are divided by the factor, those of
 * w < n/high stay, and between both is blended by s = (n/w - low) / (high - low): (1 - s) f / factor + s f.
 */
const llama3 = (frequencies: Float32Array, scaling: typeof Llama3Scaling.Type): Float32Array => {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling
  return frequencies.map((f) => {
    const wavelength = (2 * Math.PI) / f
    if (wavelength < original / high) return f
    if (wavelength > original / low) return f / factor
    const smooth = (original / wavelength - low) / (high - low)
    return ((1 - smooth) * f) / factor + smooth * f
  })
}

/** cos and sin constants [count, head_dim / 2] of the positions 0 .. count-1. Angles are rounded to float32, as in PyTorch. */
export const rotaryTables = (
  graph: GraphBuilder,
  frequencies: Float32Array,
  count: number,
  dtype: DType = "float32"
): { readonly cos: Value; readonly sin: Value } => {
  const half = frequencies.length
  const angles = Float32Array.from({ length: count * half }, (_, i) => Math.floor(i / half) * (frequencies[i % half] as number))
  const table = (of: (angle: number) => number): Value =>
    graph.constant(dtype === "float64" ? Float64Array.from(angles, of) : angles.map(of), dtype, [count, half])
  return { cos: table(Math.cos), sin: table(Math.sin) }
}
