// Several optimizer steps as one run: a loop whose body is a step, so that weights and the optimizer's state stay where the runtime has them.
// A step sums the gradients of its micro-batches in an inner loop. Batches and the numbers of each step come stacked.
import { entryOf, float32, int64s, loopNode, plainNode, renamed } from "#src/graph/onnx/loop.ts"
import type { OnnxModel, OnnxNode, OnnxTensor, OnnxValue } from "#src/graph/onnx/Model.ts"
import { type Shape, sizeOf } from "#src/graph/Type.ts"
import { type Block, isJoined } from "./blocks.ts"
import { stateName } from "./stateGraphs.ts"
import { names } from "./trainNames.ts"

export interface StepLoopParts {
  /** A micro-batch's loss and gradients (lossGraph). */
  readonly micro: OnnxModel
  /** What follows them (wholeStepGraph). */
  readonly update: OnnxModel
  /** Trained tensors, as `update` has them. */
  readonly blocks: readonly Block[]
  /** What the optimizer keeps of each block, by stateName's kinds; "p" is the weight. */
  readonly kinds: (block: string) => readonly string[]
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

const zerosOf = (name: string, shape: Shape): { readonly node: OnnxNode; readonly constant: OnnxTensor } => {
  const constant = int64s(`${name}/shape`, [shape.length], ...shape)
  return { constant, node: plainNode("ConstantOfShape", [constant.name], name) }
}

/** The nodes that take a block's weights apart for the step, and that put the gradients of its tensors together. */
const jointOf = ({ name, shape, tensors }: Block, inStep: (name: string) => string, gradient: (name: string) => string) => {
  const width = shape[1] as number
  const sizes = int64s(`${name}/rows`, [tensors.length], ...tensors.map((tensor) => sizeOf(tensor.shape) / width))
  const asRows = int64s(`${name}/shape`, [2], -1, width)
  const shapes = tensors.map((tensor) => int64s(`${tensor.name}/shape`, [tensor.shape.length], ...tensor.shape))
  const part = (tensor: string): string => inStep(`part/${tensor}`)
  const rows = (tensor: string): string => `micro/rows/${tensor}`
  const axis = { axis: { kind: "int", value: 0 } } as const
  const split: OnnxNode = {
    ...plainNode("Split", [inStep(stateName("p", name)), sizes.name], inStep(`parts of ${name}`)),
    outputs: tensors.map((tensor) => part(tensor.name)),
    attributes: axis
  }
  const all = tensors.map((tensor) => rows(tensor.name))
  return {
    constants: [sizes, asRows, ...shapes],
    split: [
      split,
      ...tensors.map((tensor, i) => plainNode("Reshape", [part(tensor.name), shapes[i]!.name], inStep(stateName("p", tensor.name))))
    ],
    gather: [
      ...tensors.map((tensor) => plainNode("Reshape", [gradient(tensor.name), asRows.name], rows(tensor.name))),
      { ...plainNode("Concat", all, gradient(name)), attributes: axis }
    ]
  }
}

/** The model; its inputs that are not stacked have the names that `micro` and `update` have for them. */
export const stepLoop = (parts: StepLoopParts): OnnxModel => {
  const { micro, update, blocks, kinds, batch, perStep, steps, micros } = parts
  const tensors = blocks.flatMap((block) => block.tensors.map(({ name }) => name))
  const inputOf = new Map([...micro.inputs, ...update.inputs].map((input) => [input.name, input]))
  const typed = (input: string, name: string): OnnxValue => ({ ...inputOf.get(input)!, name })
  const states = blocks.flatMap(({ name }) => kinds(name).map((kind) => stateName(kind, name)))
  const inStep = (name: string): string => `step/${name}`
  const sum = ({ name }: Block): string => stateName("sum", name)

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
  const gradient = (name: string): string => `micro/${names.gradient(name)}`
  const joints = blocks.filter(isJoined).map((block) => jointOf(block, inStep, gradient))
  const [several, nll] = [micros > 1, micros > 1 ? inStep("nll") : `micro/${names.nll}`]
  const backward = renamed(
    update,
    "update/",
    own(
      update,
      new Map([
        ...[...states, "alive"].map((name) => [name, inStep(name)] as const),
        ...blocks.map((block) => [stateName("g", block.name), several ? inStep(sum(block)) : gradient(block.name)] as const),
        ["nll", nll] as const
      ])
    )
  )

  const entries = (index: string): readonly OnnxNode[] => batch.map((name) => entryOf(loopNames.all(name), index, `micro/${name}`))
  const zeros = several ? [...blocks.map((block) => zerosOf(`first/${sum(block)}`, block.shape)), zerosOf("first/nll", [])] : []
  const overMicros = () => {
    const added = blocks.map((block) => ({ name: sum(block), value: { ...noName, shape: block.shape }, part: gradient(block.name) }))
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
        ...joints.flatMap(({ gather }) => gather),
        ...sums.map(({ name, part }) => plainNode("Add", [`so far/${name}`, part], `micro/new.${name}`))
      ]
    })
  }
  const inner = several ? overMicros() : undefined
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
      ...joints.flatMap(({ split }) => split),
      ...(inner === undefined
        ? [...entries("step"), ...forward.nodes, ...joints.flatMap(({ gather }) => gather)]
        : [plainNode("Mul", ["step", "micros of a step"], "step/begin"), ...zeros.map(({ node }) => node), inner.node]),
      ...backward.nodes
    ]
  })

  const isStacked = new Set([...batch, ...perStep])
  const isMade = new Set([...tensors, ...states, ...blocks.map(({ name }) => stateName("g", name)), "nll", "alive"])
  const shared = [...inputOf.values()].filter(({ name }) => !isStacked.has(name) && !isMade.has(name))
  const constants = [
    ...[...forward.initializers, ...backward.initializers, ...outer.constants, ...(inner?.constants ?? [])],
    ...[...zeros.map(({ constant }) => constant), ...joints.flatMap((joint) => joint.constants), float32("alive", 1)]
  ]
  const stacked = (name: string, count: number): OnnxValue => {
    const { dtype, shape } = inputOf.get(name)!
    return { name: loopNames.all(name), dtype, shape: [count, ...shape] }
  }
  return {
    irVersion: micro.irVersion,
    opsets: micro.opsets,
    nodes: [outer.node],
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
