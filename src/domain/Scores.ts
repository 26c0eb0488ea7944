// The scores artifact: a model's figures beside those of its untouched base, and sampled answers of both.
import * as Schema from "effect/Schema"

/** One figure on both sides; null where it is not finite. */
export const Score = Schema.Struct({
  model: Schema.NullOr(Schema.Finite),
  baseline: Schema.NullOr(Schema.Finite),
  better: Schema.Literals(["lower", "higher"]),
  /** 95 % interval of model - baseline over the rows (paired bootstrap); absent where it has none. */
  difference: Schema.optionalKey(Schema.Struct({ low: Schema.Finite, high: Schema.Finite })),
  /** What the model's figure is made of, row by row: a sum over the row and what it is counted over (metrics/figures.ts). */
  rows: Schema.optionalKey(
    Schema.Struct({
      ids: Schema.Array(Schema.String),
      part: Schema.Array(Schema.NullOr(Schema.Finite)),
      whole: Schema.Array(Schema.Finite)
    })
  )
})
export type Score = typeof Score.Type

export const Sample = Schema.Struct({
  id: Schema.String,
  prompt: Schema.String,
  reference: Schema.String,
  baseline: Schema.String,
  model: Schema.String
})
export type Sample = typeof Sample.Type

/** `rows` scored and `tokens` counted in them. */
export const Scores = Schema.Struct({
  metrics: Schema.Record(Schema.String, Score),
  rows: Schema.Int,
  tokens: Schema.Int,
  samples: Schema.Array(Sample)
})
export type Scores = typeof Scores.Type
