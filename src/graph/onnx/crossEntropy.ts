// The loss of the head in ONNX nodes.
import type { Emitter } from "./Emitter.ts"
import { int, type Lower } from "./Lowering.ts"

/** Nodes that compute log softmax over `axis` of x under the name y. */
export type LogSoftmax = (emit: Emitter, x: string, y: string, axis: number) => void

/** As one node. */
export const logSoftmaxNode: LogSoftmax = (emit, x, y, axis) => void emit.node("LogSoftmax", [x], [y], { axis: int(axis) })

/** In parts: z = x - max(x); y = z - log(sum(exp(z))). */
export const logSoftmaxParts: LogSoftmax = (emit, x, y, axis) => {
  const run = (op: string, name: string, ...inputs: readonly string[]) => emit.node(op, inputs, [`${y}/${name}`])
  const z = run("Sub", "shifted", x, run("ReduceMax", "max", x, emit.ints([axis])))
  emit.node("Sub", [z, run("Log", "log", run("ReduceSum", "sum", run("Exp", "exp", z), emit.ints([axis])))], [y])
}

/**
 * nll = -(log softmax)[t]; the softmax is left out with its output where nothing is differentiated. It is the exponential of its logarithm, and the softmax
 * of that: the one that the device makes with less memory.
 */
export const softmaxCrossEntropy =
  (logSoftmax: LogSoftmax, ofLog: "Exp" | "Softmax" = "Exp"): Lower<"SoftmaxCrossEntropy"> =>
  ({ emit, x: [logits, targets], y: [nll, p] }) => {
    const logp = `${nll}/logp`
    logSoftmax(emit, logits!, logp, 1)
    const column = emit.node("Unsqueeze", [targets!, emit.ints([1])], [`${nll}/targets`])
    const picked = emit.node("GatherElements", [logp, column], [`${nll}/picked`], { axis: int(1) })
    emit.node("Neg", [emit.node("Squeeze", [picked, emit.ints([1])], [`${nll}/row`])], [nll!])
    emit.node(ofLog, [logp], [p!], ofLog === "Softmax" ? { axis: int(1) } : {})
  }
