// What is checked before any work: that the tokens belong to the model and that there is something to train on.
import { type Arrangement, groupedByLength, packedRows, shuffled } from "#src/batching/arrange.ts"
import type { RowLayout } from "#src/batching/place.ts"
import { pickRows, rowCount, type RowSizes, rowSizes, type TokenRows } from "#src/batching/rows.ts"
import type { Adapter } from "#src/adapters/Adapter.ts"
import { DataError, DefinitionError } from "#src/domain/Errors.ts"
import { nearest } from "#src/domain/nearest.ts"
import { fitsPattern } from "#src/domain/pattern.ts"
import { isRandom } from "#src/runtime/regularize.ts"
import { packedVirtualTokens } from "#src/runtime/TrainGraph.ts"
import type { TokensTable } from "#src/store/tokens.ts"
import { checkOptimization } from "./optimization.ts"
import { deviceCount, kindOf } from "../device.ts"
import type { TrainConfig } from "./stage.ts"

export interface Part {
  readonly ids: readonly string[]
  readonly rows: TokenRows
  /** Rows without a trained token: they would change nothing and are left out. */
  readonly leftOut: number
}

/** The rows that have something to train. @throws DataError where an id is outside the vocabulary or no token is trained */
export const checkedPart = (name: string, table: TokensTable, vocabSize: number): Part => {
  checkVocabulary(name, table, vocabSize)
  const { targets } = rowSizes(table)
  const keep = [...targets.keys()].filter((row) => (targets[row] as number) > 0)
  if (keep.length === 0)
    throw new DataError({
      message: `no token of the ${name} part is trained on`,
      where: `input ${name}, ${rowCount(table)} rows`,
      why: "the answers are empty, or maxLength cuts them off behind long prompts",
      hint: "raise maxLength of the format stage, or set its trainOnPrompt"
    })
  return { ids: keep.map((row) => table.ids[row] as string), rows: pickRows(table, keep), leftOut: rowCount(table) - keep.length }
}

const checkVocabulary = (name: string, table: TokensTable, vocabSize: number): void => {
  const at = table.tokens.findIndex((token) => token < 0 || token >= vocabSize)
  if (at < 0) return
  const row = table.offsets.findIndex((offset) => offset > at) - 1
  throw new DataError({
    message: `token id ${table.tokens[at]} does not exist in the model, whose vocab_size is ${vocabSize}`,
    where: `input ${name}, row ${table.ids[row]}, token ${at - (table.offsets[row] as number)}`,
    why: `the rows were tokenised for a vocabulary of ${table.meta.vocabSize}`,
    hint: "give format and train the same base model"
  })
}

const multiple = 16

const packLengthOf = ({ packLength }: TrainConfig, ids: readonly string[], { lengths }: RowSizes): number => {
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0)
  if (packLength === undefined) return Math.ceil(longest / multiple) * multiple
  const over = [...lengths.keys()].filter((row) => (lengths[row] as number) > packLength)
  if (over.length === 0) return packLength
  const named = over.slice(0, 5).map((row) => `${ids[row]} (${lengths[row]})`)
  throw new DataError({
    message: `${over.length} of ${ids.length} rows are longer than packLength, ${packLength}`,
    where: `input train, rows ${named.join(", ")}${over.length > named.length ? ` and ${over.length - named.length} more` : ""}`,
    why: "a packed row holds whole documents; the numbers are the positions that each needs, up to its last trained token",
    hint: `set packLength to ${Math.ceil(longest / multiple) * multiple} or leave it out, or lower maxLength of the format stage`
  })
}

/**
 * Of packed rows: what all documents begin with stands in each row once, unless random numbers make it differ between them.
 * @throws DataError where a document is longer than a row
 */
export const layoutOf = (
  config: TrainConfig,
  ids: readonly string[],
  sizes: RowSizes,
  adapter: Adapter | undefined
): RowLayout | undefined =>
  config.packing
    ? { length: packLengthOf(config, ids, sizes), commonPrefix: isRandom(config, adapter) ? 0 : sizes.commonPrefix }
    : undefined

/** How the options have an epoch's documents arranged into rows. */
export const arrange = (config: TrainConfig, { lengths }: RowSizes, layout: RowLayout | undefined): Arrangement => {
  const { batchSize, gradientAccumulationSteps, groupByLength, seed } = config
  if (layout !== undefined) return packedRows(lengths, layout, seed)
  return groupByLength ? groupedByLength(lengths, batchSize * gradientAccumulationSteps, seed) : shuffled(lengths.length, seed)
}

/** @throws DefinitionError where options do not go together, or need a validation part and there is none */
export const checkOptions = (config: TrainConfig, hasValidation: boolean): void => {
  checkOptimization(config)
  if (config.packing && config.method.type === "promptTuning") throw packedVirtualTokens()
  if (config.initialWeights === "random" && config.method.type !== "full")
    throw new DefinitionError({
      message: `initialWeights is "random", but the method is ${config.method.type}`,
      where: "train.initialWeights",
      why: "an adapter is read over its base again, and random weights are kept nowhere",
      hint: "train with full() first, and the adapter over its result"
    })
  if (config.packing && config.groupByLength)
    throw new DefinitionError({
      message: "packing and groupByLength do not go together",
      where: "train.groupByLength",
      why: "packed rows are all about equally full: there is no padding left to save",
      hint: "leave groupByLength out"
    })
  if (config.workers > 1 && kindOf(config.device) !== "cpu")
    throw new DefinitionError({
      message: "workers share the cores of the CPU, but the device is another one",
      where: "train.workers",
      hint: 'leave workers out, or use device: "cpu"; several GPUs share the micro-batches as device: ["cuda:0", "cuda:1"]'
    })
  if (deviceCount(config.device) > config.gradientAccumulationSteps)
    throw new DefinitionError({
      message: `${deviceCount(config.device)} devices share the micro-batches of each step, but a step has ${config.gradientAccumulationSteps}`,
      where: "train.device",
      hint: `set gradientAccumulationSteps to ${deviceCount(config.device)} or more, or name fewer devices`
    })
  if (config.packLength !== undefined && !config.packing)
    throw new DefinitionError({
      message: "packLength is set, but packing is off",
      where: "train.packLength",
      hint: "set packing: true, or leave packLength out"
    })
  for (const field of ["earlyStoppingPatience", "evalSteps"] as const) {
    if (config[field] === undefined || hasValidation) continue
    throw new DefinitionError({
      message: `${field} is set, but there is no validation part`,
      where: `train.${field}`,
      hint: "wire the validation output of the format stage into train, or leave the option out"
    })
  }
}

/** @throws DefinitionError where a group of the options has a pattern that fits no tensor that is trained */
export const checkGroups = ({ parameterGroups = [] }: TrainConfig, trainables: readonly { readonly name: string }[]): void => {
  const names = trainables.map(({ name }) => name)
  const lost = parameterGroups.flatMap(({ match }) => match).find((pattern) => !names.some((name) => fitsPattern(pattern, name)))
  if (lost === undefined) return
  const near = nearest(lost, names)
  throw new DefinitionError({
    message: `parameterGroups: no trained tensor fits "${lost}"`,
    where: "train.parameterGroups",
    hint: `${near === undefined ? "" : `did you mean ${near}? `}the trained tensors are named as ${names[0]}; * stands for any text`
  })
}
