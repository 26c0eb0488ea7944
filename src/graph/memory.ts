// How much memory a model's run takes for the values that it makes, told from the model alone: ONNX Runtime's own order of execution
// (executionOrder.ts), its own choice of which values share a buffer (core/framework/allocation_planner.cc), its own arena (arena.ts).
// Inputs, constants and outputs lie elsewhere, outputs in arrays of the caller (Session.run): they are not counted.
import { newArena, rounded } from "./arena.ts"
import { executionOrder } from "./executionOrder.ts"
import type { OnnxModel, OnnxNode } from "./onnx/Model.ts"
import { broadcast, sizeOf } from "./Type.ts"
import type { DType, Shape, Type } from "./Type.ts"

const bytesPer: Readonly<Record<DType, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  uint16: 2,
  uint8: 1,
  bool: 1
}

export const bytesOf = ({ dtype, shape }: { readonly dtype: DType; readonly shape: Shape }): number => bytesPer[dtype] * sizeOf(shape)

/** Ops whose result is their first input under another name and shape. */
export const aliases: ReadonlySet<string> = new Set(["Reshape", "Unsqueeze", "Squeeze", "Identity"])

/** Ops that write their result where their first input lies, when nobody else reads that. Arithmetic does not. */
const inPlace: ReadonlySet<string> = new Set(["Sigmoid", "Tanh", "Cast", "ScatterElements", "Softmax", "LogSoftmax"])

/** Bytes that a kernel takes from the arena while it runs. */
const scratch: Readonly<Record<string, (x: readonly Type[], node: OnnxNode) => readonly number[]>> = {
  // Each side is selected into an array of its own first.
  Where: ([c, a, b]) => [a!, b!].map(({ dtype, shape }) => bytesOf({ dtype, shape: broadcast(c!.shape, shape)! })),
  // The whole weight as float32.
  MatMulBnb4: ([x], { attributes: { N } }) => [4 * x!.shape.at(-1)! * (N?.kind === "int" ? N.value : 0)]
}

interface Buffer {
  readonly bytes: number
  /** Name of the value that it is made for. */
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
}

/** For each node in order of execution: buffers that it takes, and those that are given back after it. */
export interface Step {
  readonly node: string
  /** Bytes that it takes before and gives back at its end. */
  readonly scratch: readonly number[]
  readonly takes: readonly Buffer[]
  readonly frees: readonly Buffer[]
}

/** What the runtime decides before the first run. */
export const allocations = (model: OnnxModel, types: ReadonlyMap<string, Type>): readonly Step[] => {
  const order = executionOrder(model.nodes)
  const fetched = new Set(model.outputs.map(({ name }) => name))
  const lies = new Map<string, Buffer>()
  const uses = new Map<Buffer, number>()
  const usesOf = new Map<string, number>()
  const add = (name: string): void => void (name !== "" && usesOf.set(name, (usesOf.get(name) ?? 0) + 1))
  for (const { name } of [...model.inputs, ...model.initializers, ...model.outputs]) add(name)
  for (const { inputs, outputs } of model.nodes) for (const name of [...inputs, ...outputs]) add(name)
  const place = (name: string, buffer: Buffer): void => {
    lies.set(name, buffer)
    uses.set(buffer, (uses.get(buffer) ?? 0) + usesOf.get(name)!)
  }
  const bufferFor = (name: string): Buffer => {
    const { dtype, shape } = types.get(name)!
    return { bytes: rounded(bytesOf({ dtype, shape })), name, dtype, shape }
  }
  for (const { name } of [...model.inputs, ...model.initializers]) if (usesOf.has(name)) place(name, bufferFor(name))
  const fits = (buffer: Type, { dtype, shape }: Type): boolean =>
    bytesPer[buffer.dtype] === bytesPer[dtype] && buffer.shape.join() === shape.join()
  /** Outputs, that no later value takes over. */
  const kept = new Set<Buffer>()
  /** Dead buffers, the latest first. */
  const dead: Buffer[] = []
  const taken: Buffer[][] = []
  const last = new Map<Buffer, number>()
  const done = (name: string): void => {
    const buffer = lies.get(name)!
    const left = uses.get(buffer)! - 1
    uses.set(buffer, left)
    if (left === 0 && !kept.has(buffer)) dead.unshift(buffer)
  }
  order.forEach((index, step) => {
    const node = model.nodes[index]!
    taken.push([])
    node.outputs.forEach((name, at) => {
      if (name === "") return
      const type = types.get(name)!
      if (fetched.has(name)) {
        const buffer = bufferFor(name)
        kept.add(buffer)
        return place(name, buffer)
      }
      const alias = at === 0 && aliases.has(node.opType) ? lies.get(node.inputs[0]!) : undefined
      const first = at === 0 && inPlace.has(node.opType) ? node.inputs[0]! : undefined
      const overwritten = first !== undefined && fits(types.get(first)!, type) ? lies.get(first) : undefined
      const shared = alias ?? (overwritten !== undefined && uses.get(overwritten) === 1 ? overwritten : undefined)
      if (shared !== undefined) return place(name, shared)
      const free = type.shape.length === 0 ? -1 : dead.findIndex((buffer) => fits(buffer, type))
      if (free >= 0) return place(name, dead.splice(free, 1)[0]!)
      const buffer = bufferFor(name)
      taken.at(-1)!.push(buffer)
      place(name, buffer)
    })
    for (const name of node.inputs) if (name !== "") last.set(lies.get(name)!, step)
    for (const name of [...node.inputs, ...node.outputs]) if (name !== "") done(name)
  })
  const frees = order.map((): Buffer[] => [])
  // A result that nobody reads is given back at the end of the run.
  for (const buffer of taken.flat()) frees[last.get(buffer) ?? order.length - 1]!.push(buffer)
  return order.map((index, step) => {
    const node = model.nodes[index]!
    const x = node.inputs.map((name) => types.get(name)!)
    return { node: node.name, scratch: scratch[node.opType]?.(x, node) ?? [], takes: taken[step]!, frees: frees[step]! }
  })
}

export interface RunMemory {
  /** Most bytes in use at once. */
  readonly peak: number
  /** Name of the node that runs then. */
  readonly node: string
  /** The buffers in use then. */
  readonly alive: readonly Buffer[]
  /** Sizes of the arena's regions. */
  readonly regions: readonly number[]
  /** Bytes of the arena's pages after two runs: the peak, and what lies idle between the buffers. */
  readonly arena: number
}

/** Memory of a session's runs, one after the other. */
export const runMemory = (model: OnnxModel, types: ReadonlyMap<string, Type>): RunMemory => {
  const steps = allocations(model, types)
  const arena = newArena()
  let [now, peak, at] = [0, 0, 0]
  for (let run = 0; run < 2; run++) {
    const chunks = new Map<Buffer, ReturnType<typeof arena.take>>()
    steps.forEach(({ scratch, takes, frees }, step) => {
      const own = scratch.map((bytes) => arena.take(bytes))
      const most = scratch.reduce((sum, bytes) => sum + rounded(bytes), 0)
      for (const buffer of takes) {
        chunks.set(buffer, arena.take(buffer.bytes))
        now += buffer.bytes
      }
      if (now + most > peak) [peak, at] = [now + most, step]
      for (const chunk of own) arena.free(chunk)
      for (const buffer of frees) {
        arena.free(chunks.get(buffer)!)
        now -= buffer.bytes
      }
    })
  }
  const alive = new Set<Buffer>()
  steps.slice(0, at + 1).forEach(({ takes, frees }, step) => {
    for (const buffer of takes) alive.add(buffer)
    if (step < at) for (const buffer of frees) alive.delete(buffer)
  })
  return { peak, node: steps[at]?.node ?? "", alive: [...alive], regions: arena.regions(), arena: arena.touched() }
}
