// Runs a model once over labelled rows and compares what comes out with reference tensors, within the tolerances that
// ../shared/parity/README.md measured between honest implementations.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect } from "vitest"
import type { Adapter } from "#src/adapters/Adapter.ts"
import { gradients } from "#src/graph/autodiff.ts"
import { Graph } from "#src/graph/Graph.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import { scale } from "#src/graph/ops/elementwise.ts"
import type { TypedArray } from "#src/graph/Type.ts"
import type { Model, Weights } from "#src/models/Model.ts"
import { openTensorFile, readTensor } from "#src/models/weights.ts"
import { freeze, frozenFeeds, frozenValues } from "#src/runtime/Frozen.ts"
import { runGraph } from "../graph/runGraph.ts"

export interface Rows {
  readonly input_ids: readonly (readonly number[])[]
  readonly labels: readonly (readonly number[])[]
  readonly attention_mask: readonly (readonly number[])[]
}

/** Inputs of one loss graph: labels are shifted, -100 is not counted. */
export const lossInputs = ({ input_ids, labels }: Pick<Rows, "input_ids" | "labels">) => {
  const next = labels.flatMap((row) => [...row.slice(1), -100])
  return {
    inputIds: BigInt64Array.from(input_ids.flat(), BigInt),
    targets: BigInt64Array.from(next, (label) => BigInt(Math.max(label, 0))),
    weights: Float32Array.from(next, (label) => (label === -100 ? 0 : 1)),
    counted: next.filter((label) => label !== -100).length
  }
}

export interface Adapted {
  readonly adapter: Adapter
  readonly weights: Weights
}

/** Logits, hidden states, mean loss, and the gradient of every trained tensor: the adapter's where there is one, else the model's. */
export const runLoss = async (model: Model, weights: Weights, rows: Rows, adapter?: Adapted): Promise<Record<string, TypedArray>> => {
  const inputs = lossInputs(rows)
  const graph = new Graph()
  const trained = adapter?.adapter.parameters ?? model.parameters
  const frozen = adapter === undefined ? [] : freeze(model.parameters, weights)
  const stays = frozenValues(graph, frozen)
  const values = new Map(trained.map(({ name, shape }) => [name, graph.input(name, "float32", shape)]))
  const param = (name: string) => {
    const own = adapter?.adapter.replaces.get(name) ?? name
    return (values.get(own) ?? stays.value(own))!
  }
  const shape = [rows.input_ids.length, rows.input_ids[0]!.length]
  const built = model.build(graph, {
    inputIds: graph.input("input_ids", "int64", shape),
    param,
    hooks: adapter?.adapter.hooks({ param }) ?? {}
  })
  const size = [inputs.targets.length]
  const { sum, tokenNll } = crossEntropy(built.logits, graph.input("targets", "int64", size), graph.input("weights", "float32", size))
  const loss = scale(sum, 1 / inputs.counted)
  const grads = gradients(
    loss,
    trained.map(({ name }) => param(name))
  )
  graph.output("logits", built.logits)
  graph.output("loss", loss)
  graph.output("token_nll", tokenNll)
  built.hidden.forEach((hidden, i) => graph.output(`hidden.${i}`, hidden))
  trained.forEach(({ name }, i) => graph.output(`grad.${name}`, grads[i]!))
  const tensors = Object.fromEntries(trained.map(({ name }) => [name, (adapter?.weights ?? weights).read(name)]))
  return runGraph(graph, {
    ...frozenFeeds(frozen),
    ...tensors,
    input_ids: inputs.inputIds,
    targets: inputs.targets,
    weights: inputs.weights
  })
}

/** All tensors of a file, by name, as float32. */
export const readAll = (path: string): ReadonlyMap<string, Float32Array> =>
  new Map([...openTensorFile(path)].map(([name, tensor]) => [name, readTensor(tensor)]))

export const norm = (values: Iterable<number>): number => {
  let sum = 0
  for (const x of values) sum += x * x
  return Math.sqrt(sum)
}
export const difference = (a: Float32Array, b: Float32Array): Float32Array => a.map((x, i) => x - b[i]!)

/** Largest distance at the places where the attention mask is 1; `actual` and `expected` are [B * T, width]. */
export const distance = (actual: Float32Array, expected: Float32Array, mask: readonly number[]): number => {
  expect(actual.length).toBe(expected.length)
  const width = actual.length / mask.length
  return difference(actual, expected).reduce((worst, x, i) => (mask[Math.floor(i / width)] === 1 ? Math.max(worst, Math.abs(x)) : worst), 0)
}

/** Every `grad.` tensor of the reference against `actual`; there must be exactly the same ones. */
const expectGradients = (actual: Readonly<Record<string, TypedArray>>, expected: ReadonlyMap<string, Float32Array>): void => {
  const names = [...expected.keys()].filter((name) => name.startsWith("grad."))
  expect(names.length).toBeGreaterThan(0)
  expect(
    Object.keys(actual)
      .filter((name) => name.startsWith("grad."))
      .toSorted()
  ).toEqual(names.toSorted())
  const all = norm(names.map((name) => norm(expected.get(name)!)))
  const off = names.map((name) => ({
    name,
    error: norm(difference(actual[name] as Float32Array, expected.get(name)!)),
    norm: norm(expected.get(name)!)
  }))
  expect(off.filter(({ error, norm: own }) => !(error <= 5e-5 * own + 1e-6 * all))).toEqual([])
  expect(norm(off.map(({ error }) => error)) / all).toBeLessThan(2e-5)
}

/** One loss pass over the rows of a folder's golden.json against its golden.safetensors: logits, hidden states, loss, gradients. */
export const expectGolden = async (folder: string, model: Model, weights: Weights, adapter?: Adapted): Promise<void> => {
  const golden = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8")) as Rows & { readonly loss: number }
  const expected = readAll(join(folder, "golden.safetensors"))
  const actual = await runLoss(model, weights, golden, adapter)
  const states = [...expected.keys()].filter((name) => /^(logits|hidden\.\d+)$/.test(name))
  expect(states).toContain("logits")
  for (const name of states) {
    const values = expected.get(name)!
    // The references allow this for logits, which reach about 10.
    const allowed = 1e-4 * Math.max(1, values.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 10)
    expect(distance(actual[name] as Float32Array, values, golden.attention_mask.flat()), name).toBeLessThan(allowed)
  }
  expect(Math.abs(Number(actual["loss"]![0]) - golden.loss)).toBeLessThan(1e-5)
  expectGradients(actual, expected)
}
