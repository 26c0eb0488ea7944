// The arithmetic of an optimizer step over all trained tensors as graphs, for devices where the state does not leave the device. The
// formulas are those of graph/optimizer; the host's form of them are the kernels.
import { Graph } from "#src/graph/Graph.ts"
import { add, mul, sqrt, sub } from "#src/graph/ops/elementwise.ts"
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
  const clip = graph.input("clip", "float32", [])
  const scalars = new Map<string, Value>()
  const scalar = (name: string): Value => {
    const found = scalars.get(name) ?? graph.input(name, "float32", [])
    scalars.set(name, found)
    return found
  }
  const names = Object.keys(factorsOf(optimizer, { learningRate: 1, weightDecay: 0 }, 1))
  const squares = tensors.map((tensor) => {
    const { name, shape, group } = tensor
    const input = inputs(graph, tensor)
    const [p, g] = [input("p"), input("g")]
    const state = stateOf(optimizer, shape).map(({ key, shape }) => [key, graph.input(stateName(key, name), "float32", shape)] as const)
    const f = Object.fromEntries(names.map((factor) => [factor, scalar(factorName(group, factor))]))
    const made = step(optimizer, { p, ...Object.fromEntries(state) }, g, f, clip)
    for (const key of ["p", ...state.map(([key]) => key)]) graph.output(stateName(`new.${key}`, name), made[key]!)
    const change = sub(made["p"]!, p)
    return { change: reduceSum(mul(change, change)), size: reduceSum(mul(p, p)) }
  })
  for (const name of ["change", "size"] as const)
    graph.output(
      name,
      squares.map((each) => each[name]).reduce((a, b) => add(a, b))
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
