// Rotary position embedding: frequencies per pair of dimensions (transformers' modeling_rope_utils.py) and the rotation of heads.
import * as Schema from "effect/Schema"
import { DataError } from "#src/domain/Errors.ts"
import { decodeObject } from "#src/formats/decode.ts"
import type { JsonObject } from "#src/formats/decode.ts"
import { rotaryEmbedding } from "#src/graph/ops/nn.ts"
import type { DType } from "#src/graph/Type.ts"
import type { GraphBuilder, Value } from "#src/graph/Value.ts"
import type { Attention } from "./attention.ts"
import type { ModelConfig } from "./Model.ts"

export interface Rope {
  /** [head_dim / 2] in radians per position, for a sequence of `length` tokens. */
  readonly frequencies: (length: number) => Float32Array
  /** The frequencies depend on the length where it is above this. */
  readonly fixedUpTo: number
  /** Factor of cos and sin. */
  readonly attentionFactor: number
}

const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const maybe = Schema.optionalKey(Schema.NullOr(Positive))

const common = { rope_theta: Schema.optionalKey(Positive), partial_rotary_factor: Schema.optionalKey(Schema.Literal(1)) }
const kinds = {
  default: Schema.Struct({ ...common, rope_type: Schema.Literal("default") }),
  linear: Schema.Struct({ ...common, rope_type: Schema.Literal("linear"), factor: Positive }),
  dynamic: Schema.Struct({ ...common, rope_type: Schema.Literal("dynamic"), factor: Positive }),
  llama3: Schema.Struct({
    ...common,
    rope_type: Schema.Literal("llama3"),
    factor: Positive,
    low_freq_factor: Positive,
    high_freq_factor: Positive,
    original_max_position_embeddings: maybe
  }),
  yarn: Schema.Struct({
    ...common,
    rope_type: Schema.Literal("yarn"),
    factor: maybe,
    original_max_position_embeddings: maybe,
    attention_factor: maybe,
    beta_fast: maybe,
    beta_slow: maybe,
    mscale: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
    mscale_all_dim: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
    truncate: Schema.optionalKey(Schema.Boolean),
    // Says how the checkpoint was made.
    finetuned: Schema.optionalKey(Schema.Boolean)
  })
}
const Kind = Schema.Struct({ rope_type: Schema.Literals(["default", "linear", "dynamic", "llama3", "yarn"]) })

type Parameters = { [K in keyof typeof kinds]: (typeof kinds)[K]["Type"] }[keyof typeof kinds]

/** @throws DataError where the kind is not computed here, or a parameter is missing, wrong or none of its kind */
const decode = (parameters: JsonObject, where: string): Parameters => {
  const kind = kinds[decodeObject(Kind, parameters, where).rope_type]
  const decoded = decodeObject(kind as (typeof kinds)["yarn"], parameters, where) as Parameters
  const unknown = Object.keys(parameters).find((name) => !(name in kind.fields) && parameters[name] !== null && name !== "type")
  if (unknown === undefined) return decoded
  throw new DataError({ message: `${unknown}: ${JSON.stringify(parameters[unknown])} is no parameter of ${decoded.rope_type} rope`, where })
}

/** What `rope_parameters` of a config say; plain rope where they are left out. `theta` is the family's default base. @throws DataError */
export const ropeOf = (
  parameters: JsonObject | null | undefined,
  config: Pick<ModelConfig, "head_dim" | "max_position_embeddings">,
  where: string,
  theta = 10000
): Rope => {
  const rope = decode(parameters ?? { rope_type: "default" }, `${where}: rope_parameters`)
  const { head_dim: dim, max_position_embeddings: context } = config
  const base = rope.rope_theta ?? theta
  const fixed = (frequencies: Float64Array, attentionFactor = 1): Rope => {
    const rounded = Float32Array.from(frequencies)
    return { frequencies: () => rounded, fixedUpTo: Infinity, attentionFactor }
  }
  switch (rope.rope_type) {
    case "default":
      return fixed(plain(base, dim))
    case "linear":
      return fixed(plain(base, dim).map((f) => f / rope.factor))
    case "llama3":
      return fixed(llama3(plain(base, dim), { ...rope, original: rope.original_max_position_embeddings ?? context }))
    case "yarn": {
      const original = rope.original_max_position_embeddings ?? context
      const factor = rope.factor ?? context / original
      return fixed(yarn(base, dim, { ...rope, factor, original }), rope.attention_factor ?? yarnAttention(factor, rope))
    }
    case "dynamic":
      if (dim <= 2) throw new DataError({ message: `dynamic rope needs a head_dim above 2, not ${dim}`, where })
      return {
        frequencies: (length) => Float32Array.from(plain(dynamicBase(base, dim, rope.factor, Math.max(length, context) / context), dim)),
        fixedUpTo: context,
        attentionFactor: 1
      }
  }
}

/** f_i = base^(-2i / dim) */
const plain = (base: number, dim: number): Float64Array => Float64Array.from({ length: dim / 2 }, (_, i) => 1 / base ** ((2 * i) / dim))

/** NTK-aware: base ((factor s - (factor - 1))^(dim / (dim - 2)) for a sequence s times as long as the context. */
const dynamicBase = (base: number, dim: number, factor: number, s: number): number =>
  base * (factor * s - (factor - 1)) ** (dim / (dim - 2))

interface Llama3 {
  readonly factor: number
  readonly low_freq_factor: number
  readonly high_freq_factor: number
  readonly original: number
}

/**
 * Llama 3.1: with wavelength w = 2 pi / f and the original context n, frequencies of w > n/low are divided by the factor, those of
 * w < n/high stay, and between both is blended by s = (n/w - low) / (high - low): (1 - s) f / factor + s f.
 */
const llama3 = (frequencies: Float64Array, { factor, low_freq_factor: low, high_freq_factor: high, original }: Llama3): Float64Array =>
  frequencies.map((f) => {
    const wavelength = (2 * Math.PI) / f
    if (wavelength > original / low) return f / factor
    if (wavelength < original / high) return f
    const smooth = (original / wavelength - low) / (high - low)
    return ((1 - smooth) * f) / factor + smooth * f
  })

interface Yarn {
  readonly factor: number
  readonly original: number
  readonly beta_fast?: number | null
  readonly beta_slow?: number | null
  readonly truncate?: boolean
}

/**
 * YaRN (Peng et al. 2023): d(r) = dim ln(n / (2 pi r)) / (2 ln base) is the pair that turns r times within the original context n.
 * Pairs below d(beta_fast) keep f, those above d(beta_slow) get f / factor, between both is blended along a straight line.
 */
const yarn = (base: number, dim: number, { factor, original, beta_fast, beta_slow, truncate = true }: Yarn): Float64Array => {
  const pair = (turns: number): number => (dim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(base))
  const [first, last] = [pair(beta_fast ?? 32), pair(beta_slow ?? 1)]
  const low = Math.max(truncate ? Math.floor(first) : first, 0)
  const high = Math.min(truncate ? Math.ceil(last) : last, dim - 1)
  const span = high === low ? 0.001 : high - low
  return plain(base, dim).map((f, i) => {
    const ramp = Math.min(Math.max((i - low) / span, 0), 1)
    return (f / factor) * ramp + f * (1 - ramp)
  })
}

/** 0.1 m ln(factor) + 1; with both mscales the quotient of two. */
const yarnAttention = (
  factor: number,
  { mscale, mscale_all_dim }: { readonly mscale?: number | null; readonly mscale_all_dim?: number | null }
) => {
  const scale = (m: number): number => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1)
  return mscale && mscale_all_dim ? scale(mscale) / scale(mscale_all_dim) : scale(1)
}

/** Rotates heads [B, n, T, hd] by their positions. */
export type Rotate = (heads: Value) => Value

interface Pass {
  readonly graph: GraphBuilder
  readonly dtype: DType
  readonly attention: Attention
}

/**
 * The rotation for one forward pass. Where the frequencies depend on the length: rows of T tokens count as sequences of T, padding
 * included, as in transformers; a token behind cached ones is rotated by the length that it makes.
 * @throws DataError for packed rows of which a document's length could count
 */
export const rotary = ({ graph, dtype, attention }: Pass, rope: Rope): Rotate => {
  const { positions, positionCount: count, cache, packed } = attention
  if (packed && count > rope.fixedUpTo) {
    throw new DataError({
      message: `rows of ${count} tokens with several documents`,
      why: `dynamic rope depends on each document's length beyond ${rope.fixedUpTo} tokens`,
      hint: "train without packing, or with shorter rows"
    })
  }
  const [whole, short] = [rope.frequencies(count), rope.frequencies(0)]
  const behind = (position: number): Float32Array => (position < rope.fixedUpTo ? short : rope.frequencies(position + 1))
  const { cos, sin } = tables(graph, cache === undefined ? () => whole : behind, count, rope.attentionFactor, dtype)
  return (heads) => rotaryEmbedding(heads, positions, cos, sin)
}

/** cos and sin constants [count, head_dim / 2] of the positions 0 .. count-1. Angles are rounded to float32, as in PyTorch. */
const tables = (
  graph: GraphBuilder,
  frequencies: (position: number) => Float32Array,
  count: number,
  factor: number,
  dtype: DType
): { readonly cos: Value; readonly sin: Value } => {
  const half = frequencies(0).length
  const angles = new Float32Array(count * half)
  for (let position = 0; position < count; position++) {
    const row = frequencies(position)
    for (let i = 0; i < half; i++) angles[position * half + i] = position * (row[i] as number)
  }
  const table = (of: (angle: number) => number): Value => {
    const values = dtype === "float64" ? Float64Array.from(angles) : angles
    return graph.constant(
      values.map((angle) => of(angle) * factor),
      dtype,
      [count, half]
    )
  }
  return { cos: table(Math.cos), sin: table(Math.sin) }
}
