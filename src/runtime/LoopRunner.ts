// Several optimizer steps of one static shape in one run (stepLoop.ts): the loop in a session, and the arrays that it is fed with.
import { type Batch, fillBatch } from "#src/batching/batch.ts"
import { placesOf } from "./batchShapes.ts"
import type { RowLayout } from "#src/batching/place.ts"
import type { BatchShape } from "#src/batching/shapes.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { type Optimizer, stateOf } from "#src/graph/optimizer.ts"
import { sizeOf } from "#src/graph/Type.ts"
import type { RunnerOptions } from "./BatchRunner.ts"
import { type Block, blocksOf } from "./blocks.ts"
import { anchorsOf, fillBlocks, type HeldState, spreadBlock, statesOf, stepsFor } from "./heldBlocks.ts"
import { openModel } from "./openSession.ts"
import { type StepPlan, sumOver } from "./step.ts"
import type { ParamStore } from "./ParamStore.ts"
import { RandomArrays, type RandomOptions } from "./RandomArrays.ts"
import type { RandomInput, Regularization } from "./regularize.ts"
import type { Feeds, Session } from "./Session.ts"
import { factorName, factorNames, factorsOf, wholeStepGraph } from "./stateGraphs.ts"
import { loopNames, stepLoop } from "./stepLoop.ts"
import { lossGraph } from "./TrainGraph.ts"
import { names } from "./trainNames.ts"
import { groupsOf, type Rates } from "./updateTensor.ts"

export interface LoopOptions extends Omit<RunnerOptions, "store">, RandomOptions {
  /** Weights and the optimizer's state between two runs. */
  readonly store: ParamStore
  readonly optimizer: Optimizer
  readonly maxGradNorm: number
  /** 0: none. */
  readonly l2ToBase: number
  /** Losses are scaled (lossScale.ts), by what each step's plan says. */
  readonly scalesLoss: boolean
  /** The rates of each tensor by a step's rate. */
  readonly rates: StepPlan["rates"]
  readonly layout: RowLayout | undefined
  readonly regularization: Regularization
  readonly gradientCheckpointing: boolean
  /** Micro-batches of a step at most. */
  readonly micros: number
  /** Steps of a run at most. Default: `stepsFor` the store. */
  readonly stepsPerRun?: number | undefined
}

/** Of one step. */
export interface LoopFigures {
  readonly nll: number
  readonly norm: number
  readonly relativeUpdate: number
}

/** Bytes of stacked batches and random numbers that a run may be fed with. */
const mostFed = 256 * 2 ** 20

export class LoopRunner {
  /** Steps that one run takes. */
  readonly steps: number
  readonly #session: Session
  readonly #options: LoopOptions
  readonly #shape: BatchShape
  readonly #random: { readonly arrays: RandomArrays; readonly inputs: readonly RandomInput[]; readonly stacks: readonly Float32Array[] }
  readonly #batches: readonly Batch[]
  readonly #feeds: Feeds
  readonly #groupOf: readonly number[]
  readonly #states: readonly HeldState[]

  private constructor(session: Session, o: LoopOptions, shape: BatchShape, made: Made) {
    this.#session = session
    this.#options = o
    this.#shape = shape
    this.steps = made.steps
    this.#groupOf = made.groupOf
    const count = made.steps * o.micros
    const [places, targets] = [o.batchSize * shape.length, shape.targets]
    const whole = (size: number) => new BigInt64Array(count * size)
    const all: Batch = {
      ids: whole(places),
      positions: whole(targets),
      targets: whole(targets),
      weights: new Float32Array(count * targets),
      within: whole(places),
      segments: whole(places)
    }
    const part = <A extends BigInt64Array | Float32Array>(array: A, size: number, i: number): A =>
      array.subarray(i * size, (i + 1) * size) as A
    this.#batches = Array.from({ length: count }, (_, i) => ({
      ids: part(all.ids, places, i),
      positions: part(all.positions, targets, i),
      targets: part(all.targets, targets, i),
      weights: part(all.weights, targets, i),
      within: part(all.within, places, i),
      segments: part(all.segments, places, i)
    }))
    const stacks = made.random.map((input) => new Float32Array(count * sizeOf(input.shape)))
    this.#random = { arrays: new RandomArrays(o, made.random), inputs: made.random, stacks }
    this.#states = statesOf(o.store, made.blocks)
    this.#feeds = {
      ...Object.fromEntries(made.batch.map((name) => [loopNames.all(name), batchArray(all, name) ?? stacks[indexOf(made.random, name)]!])),
      ...Object.fromEntries(made.perStep.map((name) => [loopNames.all(name), new Float32Array(made.steps)])),
      [loopNames.steps]: new BigInt64Array(1),
      ...(o.micros > 1 ? { [loopNames.all(loopNames.micros)]: new BigInt64Array(made.steps) } : {}),
      ...Object.fromEntries(this.#states.map(({ name, all }) => [name, all])),
      ...(o.l2ToBase === 0
        ? {}
        : {
            lambda: Float32Array.of(o.l2ToBase),
            ...Object.fromEntries(anchorsOf(o.store, made.blocks))
          }),
      ...(o.frozenFeeds as Feeds)
    }
  }

  static async create(o: LoopOptions, shape: BatchShape): Promise<LoopRunner> {
    const { graph, random: inputs } = lossGraph(o.model, o, o.batchSize, shape, {
      training: true,
      layout: o.layout,
      regularization: o.regularization,
      products: o.products,
      gradientCheckpointing: o.gradientCheckpointing
    })
    const { trainables } = o.store
    const { groups, groupOf } = groupsOf(trainables.map(o.rates(1)))
    const anchored = o.l2ToBase > 0
    const blocks = blocksOf(
      o.optimizer,
      trainables.map(({ name, shape }, i) => ({ name, shape, group: groupOf[i] as number }))
    )
    const batch = [
      ...[names.ids, names.positions, names.targets, names.weights],
      ...(o.layout === undefined ? [] : [names.within, names.segments]),
      ...inputs.map(({ name }) => name)
    ]
    const fed = inputs.reduce((sum, input) => sum + 4 * sizeOf(input.shape), 24 * (o.batchSize * shape.length + shape.targets))
    const steps = Math.max(1, Math.min(o.stepsPerRun ?? stepsFor(o.store), Math.floor(mostFed / (o.micros * fed))))
    const perStep = [
      names.scale,
      ...(o.scalesLoss ? ["unscale"] : []),
      ...groups.flatMap((_, group) => factorNames(o.optimizer).map((factor) => factorName(group, factor)))
    ]
    const model = stepLoop({
      micro: lower(graph, o.device),
      update: lower(
        wholeStepGraph({ optimizer: o.optimizer, maxGradNorm: o.maxGradNorm, anchored, scaled: o.scalesLoss }, blocks),
        o.device
      ),
      blocks,
      kinds: (block) => ["p", ...stateOf(o.optimizer, blocks.find(({ name }) => name === block)!.shape).map(({ key }) => key)],
      batch,
      perStep,
      steps,
      micros: o.micros
    })
    const session = await openModel(model, { ...o, folder: graph.folder })
    return new LoopRunner(session, o, shape, { random: inputs, batch, perStep, steps, groupOf, blocks })
  }

  /** Makes these steps, at most `steps`, and leaves weights and state in the store. Behind a step that is not finite none changes anything. */
  async run(plans: readonly StepPlan[]): Promise<readonly LoopFigures[]> {
    const { micros, sizes, scalesLoss } = this.#options
    const scalars = (name: string): Float32Array => this.#feeds[loopNames.all(name)] as Float32Array
    ;(this.#feeds[loopNames.steps] as BigInt64Array)[0] = BigInt(plans.length)
    plans.forEach((plan, at) => {
      plan.group.forEach((members, micro) => this.#fill(at * micros + micro, members, plan.step))
      if (micros > 1) (this.#feeds[loopNames.all(loopNames.micros)] as BigInt64Array)[at] = BigInt(plan.group.length)
      scalars(names.scale)[at] = plan.lossScale / sumOver(plan.group, sizes.targets)
      if (scalesLoss) scalars("unscale")[at] = 1 / plan.lossScale
      for (const [name, value] of this.#factors(plan)) scalars(name)[at] = value
    })
    fillBlocks(this.#states)
    const results = this.#states.map(({ name }) => loopNames.last(name))
    const found = (await this.#session.run(this.#feeds, [...results, ...loopNames.figures])) as Record<string, Float32Array>
    for (const state of this.#states) spreadBlock(state, found[loopNames.last(state.name)]!)
    return plans.map((_, at) => {
      const [nll, norm, change, size] = loopNames.figures.map((name) => found[name]![at] as number) as [number, number, number, number]
      return { nll, norm, relativeUpdate: size === 0 ? Number(change > 0) : Math.sqrt(change / size) }
    })
  }

  release(): Promise<void> {
    return this.#session.release()
  }

  #fill(slot: number, members: readonly number[], step: number): void {
    const { layout, rows, sizes } = this.#options
    const places = placesOf(sizes, members, layout)
    fillBatch(this.#batches[slot] as Batch, rows, sizes, places, this.#shape)
    const { arrays, inputs, stacks } = this.#random
    arrays.fill(inputs, this.#shape, places, step)
    const made = arrays.feeds(inputs)
    inputs.forEach(({ name, shape }, i) => stacks[i]!.set(made[name] as Float32Array, slot * sizeOf(shape)))
  }

  /** Scalars of the update, by name. */
  #factors({ made, learningRate, rates }: StepPlan): readonly (readonly [string, number])[] {
    const ratesOf = rates(learningRate)
    const byGroup = new Map<number, Rates>(
      this.#options.store.trainables.map((trainable, i) => [this.#groupOf[i] as number, ratesOf(trainable)])
    )
    return [...byGroup].flatMap(([group, each]) =>
      Object.entries(factorsOf(this.#options.optimizer, each, made + 1)).map(
        ([factor, value]) => [factorName(group, factor), value] as const
      )
    )
  }
}

interface Made {
  readonly random: readonly RandomInput[]
  readonly batch: readonly string[]
  readonly perStep: readonly string[]
  readonly steps: number
  /** Of each trained tensor. */
  readonly groupOf: readonly number[]
  readonly blocks: readonly Block[]
}

const indexOf = (inputs: readonly RandomInput[], name: string): number => inputs.findIndex((input) => input.name === name)

const batchArray = (batch: Batch, name: string): Feeds[string] | undefined =>
  ({
    [names.ids]: batch.ids,
    [names.positions]: batch.positions,
    [names.targets]: batch.targets,
    [names.weights]: batch.weights,
    [names.within]: batch.within,
    [names.segments]: batch.segments
  })[name]
