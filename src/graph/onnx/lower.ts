// From anneal's ops to ONNX nodes that ONNX Runtime has kernels for: one entry an op, most of them one node of the same name. A device
// that lacks some of these kernels, or has them otherwise, has entries of its own (cpu.ts, cuda.ts, webgpu.ts).
import type { Graph } from "../Graph.ts"
import type { OpName } from "../op.ts"
import { orderNodes } from "../order.ts"
import { is16Bit } from "../Type.ts"
import type { Value } from "../Value.ts"
import { forCpu } from "./cpu.ts"
import { forCuda } from "./cuda.ts"
import { logSoftmaxNode, softmaxCrossEntropy } from "./crossEntropy.ts"
import { Emitter, single } from "./Emitter.ts"
import { dequantize, kernelOf } from "./fourBit.ts"
import { float, int, ints, type Lower, type LowerTable, type Target, text } from "./Lowering.ts"
import { dataTypes, irVersion, opsets } from "./Model.ts"
import type { OnnxModel } from "./Model.ts"
import { forWebgpu } from "./webgpu.ts"

/** One node of the op's own name without attributes. */
const same: Lower<OpName> = ({ emit, node, x, y }) => void emit.node(node.op, x, y)

const withAxis: Lower<"Concat" | "Softmax" | "LogSoftmax" | "Gather" | "GatherElements"> = ({ emit, node, attributes, x, y }) =>
  void emit.node(node.op, x, y, { axis: int(attributes.axis) })

const withShape: Lower<"Reshape" | "Expand"> = ({ emit, node, attributes, x, y }) =>
  void emit.node(node.op, [...x, emit.ints(attributes.shape)], y)

/** ReduceMax takes its axes as an input only since opset 18, as ReduceSum did before; here all do. */
const reduce: Lower<"ReduceSum" | "ReduceMean" | "ReduceMax"> = ({ emit, node, attributes, x, y }) =>
  void emit.node(node.op, [...x, emit.ints(attributes.axes)], y, { keepdims: int(attributes.keepdims) })

/**
 * Gemm for matrices, FusedMatMul for batches: both read their operands transposed without a copy. A linear layer over a 4-bit weight
 * has a kernel that dequantises it in passing, several times faster; its form without transB is wrong on CPU, so that gradients
 * are taken over the dequantised weight.
 */
const matMul: Lower<"MatMul"> = ({ emit, node, attributes: { transA, transB, alpha }, x, y, maker }) => {
  const fourBit = kernelOf(node, maker)
  if (fourBit !== undefined) {
    const attributes = Object.fromEntries(Object.entries(fourBit.attributes).map(([name, value]) => [name, int(value)]))
    emit.node("MatMulBnb4", [x[0]!, emit.nameOf(fourBit.packed), emit.nameOf(fourBit.absmax)], y, attributes, "com.microsoft")
    return
  }
  const flags = { transA: int(transA), transB: int(transB), alpha: float(alpha) }
  if (!transA && !transB && alpha === 1) emit.node("MatMul", x, y)
  else if (node.inputs.every((input) => input.shape.length === 2)) emit.node("Gemm", x, y, flags)
  else emit.node("FusedMatMul", x, y, flags, "com.microsoft")
}

/** The kernel's second output is float32 whatever x is; in float64 (checkGrads): r = 1 / sqrt(mean(x^2) + epsilon), y = x r w. */
const rmsNorm: Lower<"SimplifiedLayerNormalization"> = ({ emit, node, attributes: { epsilon }, x, y }) => {
  const [input, scale] = x as [string, string]
  const [result, r] = y as [string, string]
  if (node.outputs[0]!.dtype === "float32") {
    emit.node("SimplifiedLayerNormalization", x, y, { axis: int(-1), epsilon: float(epsilon) })
    return
  }
  const run = (op: string, name: string, ...inputs: readonly string[]) => emit.node(op, inputs, [`${result}/${name}`])
  const mean = run("ReduceMean", "mean", run("Mul", "square", input, input), emit.ints([-1]))
  emit.node("Reciprocal", [run("Sqrt", "rms", run("Add", "sum", mean, emit.scalar("float64", epsilon)))], [r])
  emit.node("Mul", [run("Mul", "unit", input, r), scale], [result])
}

/** As above; in float64: n = (x - mean(x)) r with r = 1 / sqrt(mean((x - mean)^2) + epsilon), y = n w + b. */
const layerNorm: Lower<"LayerNormalization"> = ({ emit, node, attributes: { epsilon }, x, y }) => {
  const [input, scale, bias] = x as [string, string, string]
  const [result, mean, r] = y as [string, string, string]
  if (node.outputs[0]!.dtype === "float32") {
    emit.node("LayerNormalization", x, y, { axis: int(-1), epsilon: float(epsilon) })
    return
  }
  const run = (op: string, name: string, ...inputs: readonly string[]) => emit.node(op, inputs, [`${result}/${name}`])
  emit.node("ReduceMean", [input, emit.ints([-1])], [mean])
  const centred = run("Sub", "centred", input, mean)
  const variance = run("ReduceMean", "variance", run("Mul", "square", centred, centred), emit.ints([-1]))
  emit.node("Reciprocal", [run("Sqrt", "deviation", run("Add", "sum", variance, emit.scalar("float64", epsilon)))], [r])
  emit.node("Add", [run("Mul", "scaled", run("Mul", "unit", centred, r), scale), bias], [result])
}

/** The kernel takes float32; in float64 (checkGrads): (x1 cos - x2 sin | x2 cos + x1 sin). */
const rotaryEmbedding: Lower<"RotaryEmbedding"> = ({ emit, node, x, y }) => {
  const [input, positions, cos, sin] = x as [string, string, string, string]
  if (node.outputs[0]!.dtype === "float32") {
    emit.node("RotaryEmbedding", [input, positions, cos, sin], y, { interleaved: int(0) }, "com.microsoft")
    return
  }
  const half = node.inputs[0]!.shape[3]! / 2
  const part = (name: string) => `${y[0]}/${name}`
  const run = (op: string, name: string, ...inputs: readonly string[]) => emit.node(op, inputs, [part(name)])
  emit.node("Split", [input, emit.ints([half, half])], [part("x1"), part("x2")], { axis: int(3) })
  const c = run("Unsqueeze", "cos", run("Gather", "cosRows", cos, positions), emit.ints([1]))
  const s = run("Unsqueeze", "sin", run("Gather", "sinRows", sin, positions), emit.ints([1]))
  const first = run("Sub", "y1", run("Mul", "x1cos", part("x1"), c), run("Mul", "x2sin", part("x2"), s))
  const second = run("Add", "y2", run("Mul", "x2cos", part("x2"), c), run("Mul", "x1sin", part("x1"), s))
  emit.node("Concat", [first, second], y, { axis: int(3) })
}

/** Where(true, x, one element of the other). */
const after: Lower<"After"> = ({ emit, node, x: [value, first], y }) => {
  const rank = node.inputs[1]!.shape.length
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  const ends = (end: number) => emit.ints(axes.map(() => end))
  const corner = rank === 0 ? first! : emit.node("Slice", [first!, ends(0), ends(1), emit.ints(axes)], [`${y[0]}/corner`])
  const one = emit.node("Reshape", [corner, emit.ints([1])], [`${y[0]}/one`])
  emit.node("Where", [emit.constantTrue(), value!, one], y)
}

const table: LowerTable = {
  Add: same,
  Sub: same,
  Mul: same,
  Div: same,
  Neg: same,
  Exp: same,
  Log: same,
  Sqrt: same,
  Reciprocal: same,
  Sigmoid: same,
  Tanh: same,
  Erf: same,
  Where: same,
  Equal: same,
  Less: same,
  Greater: same,
  Cast: ({ emit, node, attributes: { to }, x, y, maker }) => {
    // A 16-bit number that was widened is itself when it is narrowed again.
    const widened = maker(node.inputs[0]!)
    if (widened?.op === "Cast" && widened.inputs[0]!.dtype === to && is16Bit(to))
      emit.node("Identity", [emit.nameOf(widened.inputs[0]!)], y)
    else emit.node("Cast", x, y, { to: int(dataTypes[to]) })
  },
  Identity: same,
  After: after,
  MatMulAdd: ({ emit, attributes: { transA, transB }, x, y }) => void emit.node("Gemm", x, y, { transA: int(transA), transB: int(transB) }),
  StopGradient: ({ emit, x, y }) => void emit.node("Identity", x, y),
  MatMul: matMul,
  Reshape: withShape,
  Expand: withShape,
  Transpose: ({ emit, attributes, x, y }) => void emit.node("Transpose", x, y, { perm: ints(attributes.perm) }),
  Concat: withAxis,
  Split: ({ emit, attributes, x, y }) => void emit.node("Split", [...x, emit.ints(attributes.sizes)], y, { axis: int(attributes.axis) }),
  Slice: ({ emit, attributes: { axis, start, end }, x, y }) =>
    void emit.node("Slice", [...x, emit.ints([start]), emit.ints([end]), emit.ints([axis])], y),
  ConstantOfShape: ({ emit, attributes: { shape, value, dtype }, y }) =>
    void emit.node("ConstantOfShape", [emit.ints(shape)], y, { value: single(dtype, value) }),
  ReduceSum: reduce,
  ReduceMean: reduce,
  ReduceMax: reduce,
  Gather: withAxis,
  GatherElements: withAxis,
  ScatterElements: ({ emit, attributes, x, y }) =>
    void emit.node("ScatterElements", x, y, { axis: int(attributes.axis), reduction: text(attributes.reduction) }),
  Softmax: withAxis,
  LogSoftmax: withAxis,
  Dequantize4Bit: dequantize,
  SimplifiedLayerNormalization: rmsNorm,
  LayerNormalization: layerNorm,
  RotaryEmbedding: rotaryEmbedding,
  Silu: ({ emit, node, x, y }) => {
    if (node.outputs[0]!.dtype === "float32") emit.node("QuickGelu", x, y, { alpha: float(1) }, "com.microsoft")
    else emit.node("Mul", [x[0]!, emit.node("Sigmoid", x, [`${y[0]}/sigmoid`])], y)
  },
  Gelu: ({ emit, attributes, x, y }) => void emit.node(attributes.approximate === "tanh" ? "FastGelu" : "Gelu", x, y, {}, "com.microsoft"),
  SoftmaxCrossEntropy: softmaxCrossEntropy(logSoftmaxNode)
}

const tables: { readonly [T in Target]: LowerTable } = { cpu: forCpu(table), cuda: forCuda(table), webgpu: forWebgpu(table) }

/** Kernels that leave an output, but for the first, out when it has no name. Others crash then (Split does). */
const optionalOutputs: ReadonlySet<string> = new Set(["SimplifiedLayerNormalization", "LayerNormalization"])

const describe = (value: Value, name: string = value.name) => ({ name, dtype: value.dtype, shape: value.shape })

/** The ONNX model of a graph: nodes that an output needs, ordered; all inputs (a run feeds them by name), constants that are read. */
export const lower = (graph: Graph, target: Target = "cpu"): OnnxModel => {
  const emit = new Emitter()
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)))
  const renamed = new Set<Value>()
  const copies = graph.outputs.filter(({ name, value }) => {
    // An output that is an input, a constant or already an output under another name needs a node of its own.
    if (!makers.has(value) || renamed.has(value)) return true
    renamed.add(value)
    emit.rename(value, name)
    return false
  })
  for (const { value, data } of graph.initializers) emit.tensor(value.name, value.dtype, value.shape, data)
  for (const { value, slice } of graph.externals) {
    const external = { location: slice.file, offset: slice.offset, length: slice.bytes }
    emit.initializers.push({ name: value.name, dtype: value.dtype, shape: value.shape, bytes: new Uint8Array(), external })
  }
  for (const node of graph.nodes) {
    const lowering = tables[target][node.op] as Lower<OpName>
    const names = (values: readonly Value[]) => values.map((value) => emit.nameOf(value))
    lowering({
      emit,
      node,
      attributes: node.attributes,
      x: names(node.inputs),
      y: names(node.outputs),
      maker: (value) => makers.get(value)
    })
  }
  for (const { name, value } of copies) emit.node("Identity", [emit.nameOf(value)], [name])
  const nodes = orderNodes(
    emit.nodes,
    graph.outputs.map((output) => output.name)
  )
  const read = new Set(nodes.flatMap((node) => node.inputs))
  const shown = new Set(graph.outputs.map((output) => output.name))
  return {
    irVersion,
    opsets,
    nodes: nodes.map((node) => {
      const used = (name: string) => read.has(name) || shown.has(name)
      return optionalOutputs.has(node.opType)
        ? { ...node, outputs: node.outputs.map((name, i) => (i === 0 || used(name) ? name : "")) }
        : node
    }),
    initializers: emit.initializers.filter((tensor) => read.has(tensor.name)),
    inputs: graph.inputs.map((input) => describe(input)),
    outputs: graph.outputs.map(({ name, value }) => describe(value, name))
  }
}
