// Several optimizer steps as one run: a loop whose body is a step, so that weights and the optimizer's state stay where the runtime has them.
// A step sums the gradients of its micro-batches in an inner loop. Batches and the numbers of each step come stacked.
import { entryOf, float32, int64s, loopNode, plainNode, renamed } from "#src/graph/onnx/loop.ts"
import type { OnnxModel, OnnxNode, OnnxTensor, OnnxValue } from "#src/graph/onnx/Model.ts"
import { stateName } from "./stateGraphs.ts"
import { names } from "./trainNames.ts"

export interface StepLoopParts {
  /** A micro-batch's loss and gradients (lossGraph). */
  readonly micro: OnnxModel
  /** What follows them (optimizerGraph). */
  readonly update: OnnxModel
  /** Trained tensors. */
  readonly tensors: readonly string[]
  /** What the optimizer keeps of each, by stateName's kinds; "p" is the weight. */
  readonly kinds: (tensor: string) => readonly string[]
  /** Inputs of `micro` that are other numbers in each micro-batch. */
  readonly batch: readonly string[]
  /** Scalar inputs of `micro` or `update` that are other numbers in each step. */
  readonly perStep: readonly string[]
  /** Steps of a run at most. */
  readonly steps: number
  /** Micro-batches of a step at most. */
  readonly micros: number
}

/** How the loop's model calls what it is fed with and gives. */
export const loopNames = {
  /** int64: steps of this run. */
  steps: "steps",
  /** int64 [steps]: micro-batches of each. */
  micros: "micros",
  /** An input of all micro-batches, or of all steps. */
  all: (input: string): string => `all/${input}`,
  /** A tensor behind the last step. */
  last: (state: string): string => `last/${state}`,
  /** float32 [steps] each. */
  figures: ["nll", "norm", "change", "size"]
} as const

const zerosOf = (name: string, { shape }: OnnxValue): { readonly node: OnnxNode; readonly constant: OnnxTensor } => {
  const constant = int64s(`${name}/shape`, [shape.length], ...shape)
  return { constant, node: plainNode("ConstantOfShape", [constant.name], name) }
}

/** The model; its inputs that are not stacked have the names that `micro` and `update` have for them. */
export const stepLoop = (parts: StepLoopParts): OnnxModel => {
  const { micro, update, tensors, kinds, batch, perStep, steps, micros } = parts
  const inputOf = new Map([...micro.inputs, ...update.inputs].map((input) => [input.name, input]))
  const typed = (input: string, name: string): OnnxValue => ({ ...inputOf.get(input)!, name })
  const states = tensors.flatMap((tensor) => kinds(tensor).map((kind) => stateName(kind, tensor)))
  const inStep = (name: string): string => `step/${name}`
  const sum = (tensor: string): string => stateName("sum", tensor)

  const own = (graph: OnnxModel, made: ReadonlyMap<string, string>) => {
    // What is neither made nor stacked comes from around: frozen weights, the initial ones, the strength of the pull to them.
    const around = [...graph.inputs, ...graph.initializers.filter(({ external }) => external !== undefined)]
    return new Map([...around.map(({ name }) => [name, name] as const), ...perStep.map((name) => [name, inStep(name)] as const), ...made])
  }
  const forward = renamed(
    micro,
    "micro/",
    own(
      micro,
      new Map([
        ...tensors.map((tensor) => [tensor, inStep(stateName("p", tensor))] as const),
        ...batch.map((name) => [name, `micro/${name}`] as const)
      ])
    )
  )
  const gradient = (tensor: string): string => `micro/${names.gradient(tensor)}`
  const [several, nll] = [micros > 1, micros > 1 ? inStep("nll") : `micro/${names.nll}`]
  const backward = renamed(
    update,
    "update/",
    own(
      update,
      new Map([
        ...[...states, "alive"].map((name) => [name, inStep(name)] as const),
        ...tensors.map((tensor) => [stateName("g", tensor), several ? inStep(sum(tensor)) : gradient(tensor)] as const),
        ["nll", nll] as const
      ])
    )
  )

  const entries = (index: string): readonly OnnxNode[] => batch.map((name) => entryOf(loopNames.all(name), index, `micro/${name}`))
  const zeros = several
    ? [...tensors.map((tensor) => zerosOf(`first/${sum(tensor)}`, inputOf.get(tensor)!)), zerosOf("first/nll", { ...noName, shape: [] })]
    : []
  const inner = (): OnnxNode => {
    const added = [...tensors.map((tensor) => ({ name: sum(tensor), value: inputOf.get(tensor)!, part: gradient(tensor) }))]
    const sums = [...added, { name: "nll", value: noName, part: `micro/${names.nll}` }]
    return loopNode({
      name: "micros",
      count: inStep(loopNames.micros),
      iteration: "micro",
      carried: sums.map(({ name, value }) => ({
        first: `first/${name}`,
        input: { ...value, name: `so far/${name}` },
        output: `micro/new.${name}`,
        last: inStep(name)
      })),
      collected: [],
      nodes: [
        plainNode("Add", ["step/begin", "micro"], "micro/index"),
        ...entries("micro/index"),
        ...forward.nodes,
        ...sums.map(({ name, part }) => plainNode("Add", [`so far/${name}`, part], `micro/new.${name}`))
      ]
    })
  }
  const carriedNames = [...states, "alive"]
  const stepped = [...perStep, ...(several ? [loopNames.micros] : [])]
  const outer = loopNode({
    name: "steps",
    count: loopNames.steps,
    iteration: "step",
    carried: carriedNames.map((name) => ({
      first: name,
      input: typed(name, inStep(name)),
      output: `update/new.${name}`,
      last: loopNames.last(name)
    })),
    collected: loopNames.figures.map((name) => ({
      output: { ...noName, name: name === "nll" ? nll : `update/${name}` },
      all: name
    })),
    nodes: [
      ...stepped.map((name) => entryOf(loopNames.all(name), "step", inStep(name))),
      ...(several
        ? [plainNode("Mul", ["step", "micros of a step"], "step/begin"), ...zeros.map(({ node }) => node), inner()]
        : [...entries("step"), ...forward.nodes]),
      ...backward.nodes
    ]
  })

  const isStacked = new Set([...batch, ...perStep])
  const isMade = new Set([...tensors, ...states, ...tensors.map((tensor) => stateName("g", tensor)), "nll", "alive"])
  const shared = [...inputOf.values()].filter(({ name }) => !isStacked.has(name) && !isMade.has(name))
  const constants = [...forward.initializers, ...backward.initializers, ...zeros.map(({ constant }) => constant), float32("alive", 1)]
  const stacked = (name: string, count: number): OnnxValue => {
    const { dtype, shape } = inputOf.get(name)!
    return { name: loopNames.all(name), dtype, shape: [count, ...shape] }
  }
  return {
    irVersion: micro.irVersion,
    opsets: micro.opsets,
    nodes: [outer],
    initializers: several ? [...constants, int64s("micros of a step", [], micros)] : constants,
    inputs: [
      { name: loopNames.steps, dtype: "int64", shape: [] },
      ...(several ? [{ name: loopNames.all(loopNames.micros), dtype: "int64", shape: [steps] } as const] : []),
      ...batch.map((name) => stacked(name, steps * micros)),
      ...perStep.map((name) => stacked(name, steps)),
      ...states.map((name) => typed(name, name)),
      ...shared
    ],
    outputs: [
      ...states.map((name) => typed(name, loopNames.last(name))),
      ...loopNames.figures.map((name): OnnxValue => ({ name, dtype: "float32", shape: [steps] }))
    ]
  }
}

const noName: OnnxValue = { name: "", dtype: "float32", shape: [] }
