// split: rows -> train, validation and test parts; exact duplicates never land in two parts.
import * as Schema from "effect/Schema"
import { field, optional, Seed } from "#src/domain/config.ts"
import { stageKind } from "#src/engine/define.ts"

const Part = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))

export const SplitConfig = Schema.Struct({
  validation: field(Part, 0.1, "share of rows for validation"),
  test: field(Part, 0.1, "share of rows for test"),
  stratifyBy: optional(
    Schema.NonEmptyString,
    "row field whose values keep their shares in each part; classification rows use label by default"
  ),
  seed: field(Seed, 42, "seed of the assignment")
}).check(Schema.makeFilter((c) => c.validation + c.test < 1 || "validation + test must be below 1"))
export type SplitConfig = typeof SplitConfig.Type

export const splitKind = stageKind({
  kind: "split",
  version: 1,
  config: SplitConfig,
  inputs: { rows: "rows" },
  outputs: { train: "rows", validation: "rows", test: "rows" },
  run: () => import("./run.ts")
})
