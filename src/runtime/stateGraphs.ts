// The arithmetic of an optimizer step over all trained tensors as graphs, for devices where the state does not leave the device. The
// formulas are those of graph/optimizer; the host's form of them are the kernels.
import { DefinitionError } from "#src/domain/Errors.ts"
import { Graph } from "#src/graph/Graph.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { add, div, equal, greater, mul, sqrt, sub, where } from "#src/graph/ops/elementwise.ts"
import { reduceSum } from "#src/graph/ops/reduce.ts"
import { type Optimizer, stateOf } from "#src/graph/optimizer.ts"
import { adafactorFactors, adafactorMatrixGraph, adafactorVectorGraph } from "#src/graph/optimizer/adafactor.ts"
import { adamwFactors, adamwGraph } from "#src/graph/optimizer/adamw.ts"
import { lionFactors, lionGraph } from "#src/graph/optimizer/lion.ts"
import { sgdGraph } from "#src/graph/optimizer/sgd.ts"
import type { Shape } from "#src/graph/Type.ts"
import type { Value } from "#src/graph/Value.ts"
import type { Rates } from "./updateTensor.ts"

interface Tensor {
  readonly name: string
  readonly shape: Shape
}

const inputs =
  (graph: Graph, { name, shape }: Tensor) =>
  (kind: string): Value =>
    graph.input(stateName(kind, name), "float32", shape)

/** How the inputs and outputs of these graphs are called: p, g, sum, p0 and the optimizer's state of a tensor. */
export const stateName = (kind: string, name: string): string => `${kind}.${name}`

/** sum <- sum + g */
export const sumGraph = (tensors: readonly Tensor[]): Graph => {
  const graph = new Graph()
  for (const tensor of tensors) {
    const input = inputs(graph, tensor)
    graph.output(stateName("new", tensor.name), add(input("sum"), input("g")))
  }
  return graph
}

/** g <- g + lambda (p - p0), the gradient of lambda/2 ||p - p0||^2 added. */
export const pullGraph = (tensors: readonly Tensor[]): Graph => {
  const graph = new Graph()
  const lambda = graph.input("lambda", "float32", [])
  for (const tensor of tensors) {
    const input = inputs(graph, tensor)
    graph.output(stateName("new", tensor.name), add(input("g"), mul(lambda, sub(input("p"), input("p0")))))
  }
  return graph
}

/** norm: the L2 norm of all gradients together. */
export const normGraph = (tensors: readonly Tensor[]): Graph => {
  const graph = new Graph()
  const squares = tensors.map((tensor) => {
    const g = inputs(graph, tensor)("g")
    return reduceSum(mul(g, g))
  })
  graph.output("norm", sqrt(squares.reduce((a, b) => add(a, b))))
  return graph
}

/** A scalar of a step for the tensors of one group: those with the same learning rate and weight decay. */
export const factorName = (group: number, factor: string): string => `${factor}.${group}`

/** The numbers that step `t` (from 1) multiplies with. */
export const factorsOf = (optimizer: Optimizer, rates: Rates, t: number): Readonly<Record<string, number>> => {
  switch (optimizer.kind) {
    case "adamw":
      return { ...adamwFactors({ ...optimizer, ...rates }, t) }
    case "lion":
      return { ...lionFactors({ ...optimizer, ...rates }) }
    case "sgd":
      return { ...rates, momentum: optimizer.momentum }
    case "adafactor":
      return { ...adafactorFactors({ ...optimizer, ...rates }, t, 0) }
  }
}

interface Updated extends Tensor {
  readonly group: number
}

/**
 * One step: p, g and the optimizer's state of each tensor, clip and the factors of each group; outputs new.p and the new state of each
 * tensor, and as scalars the squared lengths of the change of all weights and of these before.
 */
export const updateGraph = (optimizer: Optimizer, tensors: readonly Updated[]): Graph => {
  const graph = new Graph()
  const updated = updates(graph, optimizer, graph.input("clip", "float32", []))
  measured(
    graph,
    tensors.map((tensor) => updated(tensor, heldOf(graph, optimizer, tensor), inputs(graph, tensor)("g")))
  )
  return graph
}

/** p and the optimizer's state of a tensor, by key. */
const heldOf = (graph: Graph, optimizer: Optimizer, { name, shape }: Tensor): Values =>
  Object.fromEntries(
    [{ key: "p", shape }, ...stateOf(optimizer, shape)].map(({ key, shape }) => [key, graph.input(stateName(key, name), "float32", shape)])
  )

/** Adds tensors' updates with their outputs to a graph; `chosen` may put something else in the place of what one made. */
const updates = (graph: Graph, optimizer: Optimizer, clip: Value, chosen: (made: Value, before: Value) => Value = (made) => made) => {
  const scalars = new Map<string, Value>()
  const scalar = (name: string): Value => {
    const found = scalars.get(name) ?? graph.input(name, "float32", [])
    scalars.set(name, found)
    return found
  }
  const names = factorNames(optimizer)
  return ({ name, group }: Updated, held: Values, g: Value) => {
    const f = Object.fromEntries(names.map((factor) => [factor, scalar(factorName(group, factor))]))
    const made = step(optimizer, held, g, f, clip)
    for (const [key, before] of Object.entries(held)) graph.output(stateName(`new.${key}`, name), chosen(made[key]!, before))
    const change = sub(made["p"]!, held["p"]!)
    return { change: reduceSum(mul(change, change)), size: reduceSum(mul(held["p"]!, held["p"]!)) }
  }
}

const total = (values: readonly Value[]): Value => values.reduce((a, b) => add(a, b))

const measured = (graph: Graph, squares: readonly { readonly change: Value; readonly size: Value }[]): void => {
  for (const name of ["change", "size"] as const) graph.output(name, total(squares.map((each) => each[name])))
}

/** @throws DefinitionError where an optimizer has a form on the host only */
export const requireGraphForm = (optimizer: Optimizer, device: Target): void => {
  if (optimizer.kind !== "adafactor" || !optimizer.scaleParameter) return
  throw new DefinitionError({
    message: `scaleParameter of adafactor does not run on ${device}`,
    where: "train.scaleParameter",
    why: "its rates depend on the weights, which do not leave the device",
    hint: 'leave scaleParameter out, or use device: "cpu"'
  })
}

/** The scalars of a step, the same for all of a group. */
export const factorNames = (optimizer: Optimizer): readonly string[] =>
  Object.keys(factorsOf(optimizer, { learningRate: 1, weightDecay: 0 }, 1))

export interface WholeStep {
  readonly optimizer: Optimizer
  /** As clipFactor: 0 leaves gradients as long as they are. */
  readonly maxGradNorm: number
  /** Gradients get lambda (p - p0) added; lambda is an input. */
  readonly anchored: boolean
  /** Gradients are those of a scaled loss; the input `unscale` takes that back. */
  readonly scaled: boolean
}

/**
 * What follows a step's gradients, whole: the pull to the initial weights, clipping, the update; of all tensors p, g, the optimizer's state,
 * and p0 where `anchored`; besides lambda, the factors, the loss `nll`, and `alive`, 1 until a step is not finite. Outputs as
 * updateGraph's, the norm, and new.alive; once that is 0, p and the state stay as they were.
 */
export const wholeStepGraph = ({ optimizer, maxGradNorm, anchored, scaled }: WholeStep, tensors: readonly Updated[]): Graph => {
  const graph = new Graph()
  const number = (value: number): Value => graph.constant(value, "float32", [])
  const lambda = anchored ? graph.input("lambda", "float32", []) : undefined
  const unscale = scaled ? graph.input("unscale", "float32", []) : undefined
  const [nll, alive] = [graph.input("nll", "float32", []), graph.input("alive", "float32", [])]
  const held = tensors.map((tensor) => heldOf(graph, optimizer, tensor))
  const gradients = tensors.map((tensor, i) => {
    const input = inputs(graph, tensor)
    const g = unscale === undefined ? input("g") : mul(input("g"), unscale)
    return lambda === undefined ? g : add(g, mul(lambda, sub(held[i]!["p"]!, input("p0"))))
  })
  const norm = sqrt(total(gradients.map((g) => reduceSum(mul(g, g)))))
  graph.output("norm", norm)
  const clip =
    maxGradNorm === 0 ? number(1) : where(greater(norm, number(maxGradNorm)), div(number(maxGradNorm), add(norm, number(1e-6))), number(1))
  // What is not finite is not equal to itself when it is taken from itself.
  const sum = add(norm, nll)
  const stays = where(equal(sub(sum, sum), number(0)), alive, number(0))
  graph.output("new.alive", stays)
  const isAlive = greater(stays, number(0))
  const updated = updates(graph, optimizer, clip, (made, before) => where(isAlive, made, before))
  measured(
    graph,
    tensors.map((tensor, i) => updated(tensor, held[i] as Values, gradients[i] as Value))
  )
  return graph
}

type Values = Readonly<Record<string, Value>>

const step = (optimizer: Optimizer, held: Values, g: Value, f: Values, clip: Value): Values => {
  switch (optimizer.kind) {
    case "adamw":
      return { ...adamwGraph(held as never, g, f as never, clip) }
    case "lion":
      return { ...lionGraph(held as never, g, f as never, clip) }
    case "sgd":
      return { ...sgdGraph(held as never, g, f as never, clip) }
    case "adafactor":
      return "v" in held
        ? { ...adafactorVectorGraph(held as never, g, f as never, clip) }
        : { ...adafactorMatrixGraph(held as never, g, f as never, clip) }
  }
}
