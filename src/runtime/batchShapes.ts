// The batches of a training and its validation, and the static shapes that are chosen for them: each shape is a graph and a session.
import { batchNeeds, byLength } from "#src/batching/batch.ts"
import type { Order } from "#src/batching/order.ts"
import { packed, type Place, type RowLayout, sideBySide } from "#src/batching/place.ts"
import type { RowSizes } from "#src/batching/rows.ts"
import { type BatchShape, chooseShapes } from "#src/batching/shapes.ts"
import type { Model } from "#src/models/Model.ts"
import type { Tuning } from "./Tuning.ts"

/** At most so many shapes. Each one's session keeps its activations' memory until the end: validation makes do with few. */
const most = { training: 3, validation: 2 } as const

/**
 * Shapes that take at least the memory of those chosen for any rows of up to `length` positions: as many as there may be, as long as
 * they may be, every position trained.
 */
export const boundShapes = (part: keyof typeof most, batchSize: number, length: number, positions: number): readonly BatchShape[] => {
  const [largest] = chooseShapes([{ length, targets: batchSize * length }], positions)
  return largest === undefined ? [] : Array.from({ length: most[part] }, () => largest)
}

/** Positions of a row that the model has behind what the adapter puts in front. */
export const positionsOf = ({ config }: Model, { adapter }: Tuning): number =>
  config.max_position_embeddings - (adapter?.numVirtualTokens ?? 0)

/** Where the documents of a micro-batch stand; `layout`: of rows that hold several. */
export const placesOf = (sizes: RowSizes, members: readonly number[], layout: RowLayout | undefined): readonly Place[] =>
  layout === undefined ? sideBySide(members) : packed(sizes, members, layout)

/** Shapes of a training's micro-batches, shortest first. */
export const trainingShapes = (sizes: RowSizes, order: Order, layout: RowLayout | undefined, positions: number): readonly BatchShape[] => {
  const needs = Array.from({ length: order.totalSteps }, (_, step) =>
    order.group(step).map((members) => batchNeeds(sizes, placesOf(sizes, members, layout)))
  )
  return chooseShapes(needs.flat(), positions, most.training)
}

/** The same where all micro-batches of a step have one shape: what each step needs. */
export const stepShapes = (needs: readonly BatchShape[], positions: number, limit: number = most.training): readonly BatchShape[] =>
  chooseShapes(needs, positions, limit)

export interface ValidationBatches {
  readonly batches: readonly (readonly number[])[]
  readonly shapes: readonly BatchShape[]
}

export const validationBatches = (sizes: RowSizes, batchSize: number, positions: number): ValidationBatches => {
  const batches = byLength(sizes, batchSize)
  const needs = batches.map((members) => batchNeeds(sizes, sideBySide(members)))
  return { batches, shapes: chooseShapes(needs, positions, most.validation) }
}
