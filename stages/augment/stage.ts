// augment: adds changed copies of training rows (synonyms, random word edits), seeded per row.
import * as Schema from "effect/Schema"
import { Count, field, optional, Seed, Share } from "#src/domain/config.ts"
import { stageKind } from "#src/engine/define.ts"

export const AugmentConfig = Schema.Struct({
  synonyms: field(Share, 0, "share of a row's words replaced by a WordNet synonym"),
  insert: field(Share, 0, "share of words after which a synonym of a random word of the row is inserted"),
  swap: field(Share, 0, "share of words swapped with their neighbour"),
  delete: field(Share, 0, "share of words deleted"),
  crop: field(Share, 0, "share of words cut out as one contiguous piece"),
  copies: field(Count, 1, "changed copies per row"),
  fields: optional(
    Schema.NonEmptyArray(Schema.NonEmptyString),
    "row fields to change; default: the input side (instruction and input, prompt, text, the user's messages)"
  ),
  keepOriginal: field(Schema.Boolean, true, "keep the unchanged rows too"),
  seed: field(Seed, 42, "seed; each row's edits depend on it and the row's id only")
})
export type AugmentConfig = typeof AugmentConfig.Type

export const augmentKind = stageKind({
  kind: "augment",
  version: 1,
  config: AugmentConfig,
  inputs: { rows: "rows" },
  outputs: { rows: "rows" },
  run: () => import("./run.ts")
})
