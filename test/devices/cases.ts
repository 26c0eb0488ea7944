// Train graphs of every family and method over the project's own tiny references, with inputs to run them.
import { resolve } from "node:path"
import { emptyBatch, fillBatch } from "#src/batching/batch.ts"
import { sideBySide } from "#src/batching/place.ts"
import { rowSizes } from "#src/batching/rows.ts"
import { uniform } from "#src/domain/random.ts"
import type { Method } from "#src/adapters/options.ts"
import type { Graph } from "#src/graph/Graph.ts"
import type { TypedArray } from "#src/graph/Type.ts"
import { loadModel } from "#src/models/load.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { frozenFeeds } from "#src/runtime/Frozen.ts"
import { noRegularization } from "#src/runtime/regularize.ts"
import { lossGraph } from "#src/runtime/TrainGraph.ts"
import { names } from "#src/runtime/trainNames.ts"
import { baseOf, tune, tuningOf } from "#src/runtime/Tuning.ts"
import { fullMethod, ia3Method, loraMethod, prefixMethod, promptTuningMethod, qloraMethod } from "../adapters/method.ts"
import { tokensTable } from "../train/workspace.ts"

export const families = ["tied", "untied", "mistral", "phi3", "qwen2", "qwen3", "smollm3", "gemma3_text", "gemma3", "gpt2"] as const

export const ownModel = (family: string): Promise<{ readonly model: Model; readonly weights: Weights }> =>
  loadModel(resolve(import.meta.dirname, "../parity/own", family, "hf"))

export const methods: Readonly<Record<string, Method>> = {
  full: fullMethod(),
  lora: loraMethod({ r: 2, targetModules: "all-linear", initLoraWeights: false }),
  dora: loraMethod({ r: 2, useDora: true, initLoraWeights: false }),
  qlora: qloraMethod({ r: 2, initLoraWeights: false }),
  ia3: ia3Method(),
  prefix: prefixMethod({ numVirtualTokens: 3 }),
  promptTuning: promptTuningMethod({ numVirtualTokens: 3 })
}

export interface GraphCase {
  readonly graph: Graph
  readonly feeds: Readonly<Record<string, TypedArray>>
  readonly outputs: readonly string[]
}

export interface CaseOptions {
  readonly packed?: boolean
  /** Of the packed rows. */
  readonly commonPrefix?: number
  readonly dropout?: boolean
  readonly gradientCheckpointing?: boolean
  readonly products?: "float16" | "bfloat16"
}

/** Two rows, and everything that the graph reads. */
export const graphCase = async (family: string, method: Method, options: CaseOptions = {}): Promise<GraphCase> => {
  const { model, weights } = await ownModel(family)
  const tuned = tune(tuningOf(model, method, 1e-3), baseOf(model, weights, method), { accumulates: false, seed: 1, mapped: false })
  const table = tokensTable(2, 3)
  const rows = { ...table, tokens: table.tokens.map((token) => token % model.vocabSize) }
  const sizes = rowSizes(rows)
  const shape = { length: 28, targets: 32 }
  const { dropout = false, packed = false, commonPrefix = 0, gradientCheckpointing = false, products } = options
  const regularization = dropout ? { ...noRegularization, residualDropout: 0.2, attentionDropout: 0.2 } : noRegularization
  const layout = packed ? { length: shape.length, commonPrefix } : undefined
  const { graph, random } = lossGraph(model, tuned, 2, shape, { training: true, layout, gradientCheckpointing, regularization, products })
  const batch = emptyBatch(2, shape)
  fillBatch(batch, rows, sizes, sideBySide([0, 1]), shape)
  const masks = random.map((input) => {
    const size = input.shape.reduce((product, dim) => product * dim, 1)
    return [input.name, Float32Array.from({ length: size }, (_, i) => (uniform(5, i, 0) < 0.2 ? 0 : 1.25))] as const
  })
  const feeds: Readonly<Record<string, TypedArray>> = {
    ...frozenFeeds(tuned.frozen),
    ...Object.fromEntries(tuned.store.trainables.map(({ name, p }) => [name, p])),
    ...Object.fromEntries(masks),
    [names.ids]: batch.ids,
    [names.positions]: batch.positions,
    [names.targets]: batch.targets,
    [names.weights]: batch.weights,
    [names.within]: batch.within,
    [names.segments]: batch.segments,
    [names.scale]: Float32Array.of(0.1)
  }
  const read = new Set(graph.inputs.map(({ name }) => name))
  return {
    graph,
    feeds: Object.fromEntries(Object.entries(feeds).filter(([name]) => read.has(name))),
    outputs: graph.outputs.map(({ name }) => name)
  }
}

/** Largest difference over all outputs, each relative to that output's largest value. */
export const difference = (a: Readonly<Record<string, TypedArray>>, b: Readonly<Record<string, TypedArray>>): number =>
  Math.max(
    ...Object.entries(a).map(([name, values]) => {
      const [x, y] = [Array.from(values, Number), Array.from(b[name]!, Number)]
      const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-4)
      return x.reduce((most, value, i) => Math.max(most, Math.abs(value - y[i]!)), 0) / largest
    })
  )
