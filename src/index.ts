// The authoring API: everything that a pipeline file imports from "anneal".
import type * as Schema from "effect/Schema"
import { DefinitionError } from "#src/domain/Errors.ts"
import type { Ref } from "#src/domain/Pipeline.ts"
import { addStage, type Authored, madeBy } from "#src/engine/define.ts"
import { augmentKind } from "#stages/augment/stage.ts"
import { evaluateKind } from "#stages/evaluate/stage.ts"
import { formatKind } from "#stages/format/stage.ts"
import { ingestKind } from "#stages/ingest/stage.ts"
import { registerKind } from "#stages/register/stage.ts"
import { splitKind } from "#stages/split/stage.ts"
import { trainKind } from "#stages/train/stage.ts"
import { validateKind } from "#stages/validate/stage.ts"

/** For the config of a stage of one's own: the very Schema that anneal decodes with (another copy of effect would not fit it). */
export * as Schema from "effect/Schema"
export { full, ia3, lora, prefix, promptTuning, qlora } from "#src/adapters/options.ts"
export { adapterFolder, baseModel, defineStage, pipeline } from "#src/engine/define.ts"
export type { StageContext } from "#src/domain/StageContext.ts"
export type { PipelineDef, Ref, StageResult } from "#src/domain/Pipeline.ts"

type Config<K extends { readonly config: Schema.Top }> = Authored<K["config"]>
type Rows = Ref<"rows">
type Tokens = Ref<"tokens">

/** Reads files of the outside world as rows of one kind. Options: docs/reference/ingest.md. */
export const ingest = (config: Config<typeof ingestKind>): Rows => addStage<{ rows: "rows" }>(ingestKind, {}, config)

/** Counts and gates; the rows pass through unchanged. The report is the handle's `report`. */
export const validate = (rows: Rows, config: Config<typeof validateKind> = {}): Rows & { readonly report: Ref<"report"> } => {
  const out = addStage<typeof validateKind.outputs>(validateKind, { rows }, config)
  return { ...out.rows, report: out.report }
}

/** Parts of the rows; no exact duplicate stands in two of them. @throws DefinitionError for augmented rows: copies of one row would be parted */
export const split = (rows: Rows, config: Config<typeof splitKind> = {}) => {
  if (madeBy(rows) === "augment") {
    throw new DefinitionError({
      message: "split is given augmented rows: copies of one row would stand in train and in test",
      hint: "split first, then augment the training part: augment(parts.train, …)"
    })
  }
  return addStage<typeof splitKind.outputs>(splitKind, { rows }, config)
}

/** Adds changed copies of training rows. @throws DefinitionError for a validation or test part: figures must come from rows as they are */
export const augment = (rows: Rows, config: Config<typeof augmentKind> = {}): Rows => {
  if (madeBy(rows) === "split" && rows.output !== "train") {
    throw new DefinitionError({
      message: `augment is given the ${rows.output} part of ${rows.stage}`,
      why: "figures must come from rows as they are",
      hint: "augment the training part only: augment(parts.train, …)"
    })
  }
  return addStage<{ rows: "rows" }>(augmentKind, { rows }, config)
}

/** Renders and tokenizes rows for the base model. */
export const format = (
  inputs: { readonly train: Rows; readonly validation?: Rows; readonly test?: Rows; readonly base: Ref<"base"> },
  config: Config<typeof formatKind>
) => {
  const given = Object.keys(formatKind.outputs).filter((part) => inputs[part as "train"] !== undefined)
  return addStage<typeof formatKind.outputs>(formatKind, inputs, config, Object.fromEntries(given.map((part) => [part, "tokens"])))
}

/**
 * Fine-tunes the base on the tokens' train part; validates on their validation part where there is one. With `adapter` (another
 * train stage's, or adapterFolder(…)) training goes on from its tensors; its base must be this one, its options the method's.
 * The log of all steps is the handle's `log`.
 */
export const train = (
  inputs: {
    readonly tokens: { readonly train: Tokens; readonly validation?: Tokens }
    readonly base: Ref<"base">
    readonly adapter?: Ref<"model">
  },
  config: Config<typeof trainKind> = {}
): Ref<"model"> & { readonly log: Ref<"log"> } => {
  const { tokens, base, adapter } = inputs
  const wires = { train: tokens.train, validation: tokens.validation, base, adapter }
  const out = addStage<typeof trainKind.outputs>(trainKind, wires, config)
  return { ...out.model, log: out.log }
}

/** Scores the model and the untouched base on the same tokens. */
export const evaluate = (
  inputs: { readonly model: Ref<"model">; readonly tokens: Tokens; readonly baseline: Ref<"base"> },
  config: Config<typeof evaluateKind> = {}
): Ref<"scores"> => addStage<{ scores: "scores" }>(evaluateKind, inputs, config)

/** Enters the model into the registry under a name, with the next version number. */
export const register = (model: Ref<"model">, scores: Ref<"scores">, config: Config<typeof registerKind>): Ref<"registration"> =>
  addStage<{ registration: "registration" }>(registerKind, { model, scores }, config)
