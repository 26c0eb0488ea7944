// How much memory a model's run needs for the values that it makes, told from the model alone: the runtime's own order of execution,
// a value's bytes from the node that makes it to the last one that reads it. Inputs, constants and weights are not counted.
import { executionOrder } from "./executionOrder.ts"
import type { OnnxModel } from "./onnx/Model.ts"
import { sizeOf } from "./Type.ts"
import type { DType, Shape } from "./Type.ts"

const bytesPer: Readonly<Record<DType, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  uint8: 1,
  bool: 1
}

export const bytesOf = (dtype: DType, shape: Shape): number => bytesPer[dtype] * sizeOf(shape)

/** The runtime hands out memory in pieces of this size. */
const piece = 256

/** Ops whose result may lie where their first input lay, when nobody else reads that: their kernels say so (MayInplace, Alias). */
const inPlace: ReadonlySet<string> = new Set(
  "Add Sub Mul Div Neg Exp Log Sqrt Reciprocal Sigmoid Tanh Erf Reshape Unsqueeze Squeeze Identity Where Cast ScatterElements Softmax LogSoftmax".split(
    " "
  )
)

export interface Peak {
  /** Most bytes alive at once. */
  readonly bytes: number
  /** Name of the node that runs then. */
  readonly node: string
}

/** Peak over one run. Types and shapes of all values come from `typeOf`, which lower() can tell. */
export const peakOf = (model: OnnxModel, typeOf: (name: string) => { readonly dtype: DType; readonly shape: Shape } | undefined): Peak => {
  const made = new Map<string, number>()
  for (const node of model.nodes) {
    for (const output of node.outputs) {
      const type = typeOf(output)
      if (type !== undefined) made.set(output, Math.ceil(bytesOf(type.dtype, type.shape) / piece) * piece)
    }
  }
  const kept = new Set(model.outputs.map(({ name }) => name))
  const readers = new Map<string, number>()
  const inputsOf = (i: number): readonly string[] => [...new Set(model.nodes[i]!.inputs)].filter((name) => made.has(name))
  const order = executionOrder(model.nodes)
  for (const i of order) for (const name of inputsOf(i)) readers.set(name, (readers.get(name) ?? 0) + 1)
  let alive = 0
  let peak: Peak = { bytes: 0, node: "" }
  for (const i of order) {
    const node = model.nodes[i]!
    const inputs = inputsOf(i)
    const reused = inPlace.has(node.opType)
      ? inputs.find((name) => readers.get(name) === 1 && !kept.has(name) && made.get(name) === made.get(node.outputs[0]!))
      : undefined
    for (const name of node.outputs) alive += made.get(name) ?? 0
    if (reused !== undefined) alive -= made.get(reused)!
    if (alive > peak.bytes) peak = { bytes: alive, node: node.name }
    for (const name of inputs) {
      const left = readers.get(name)! - 1
      readers.set(name, left)
      if (left === 0 && name !== reused && !kept.has(name)) alive -= made.get(name)!
    }
    for (const name of node.outputs) if (!readers.has(name) && !kept.has(name)) alive -= made.get(name) ?? 0
  }
  return peak
}
