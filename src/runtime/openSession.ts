// A session for a graph on a device. Where the device would leave a node to the CPU without a word, it is an error instead.
import { availableParallelism } from "node:os"
import { BugError } from "#src/domain/Errors.ts"
import type { Graph } from "#src/graph/Graph.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import type { OnnxModel } from "#src/graph/onnx/Model.ts"
import { placement } from "#src/graph/onnx/placement.ts"
import { steadyThreads } from "#src/graph/onnx/steadyThreads.ts"
import { Session, type SessionOptions } from "./Session.ts"

export interface OpenOptions extends SessionOptions {
  /** Its results are for arrays of the caller only (Session.run). */
  readonly fills?: boolean
  /** The results have the same bits with any number of threads, of which fewer may be used then (graph/onnx/steadyThreads.ts). Default true. */
  readonly steady?: boolean
}

/** `threads` are at most the machine's. @throws BugError where the device has no kernel for a node */
export const openSession = (graph: Graph, options: OpenOptions): Promise<Session> => {
  const { device = "cpu", steady = true } = options
  const most = options.threads === 0 ? availableParallelism() : Math.min(options.threads, availableParallelism())
  const used = device === "cpu" && steady ? steadyThreads(graph, most) : most
  // One per core is for the runtime to find out.
  const threads = options.threads === 0 && used === most ? 0 : used
  return openModel(lower(graph, device), { ...options, threads, folder: graph.folder })
}

/** The same for a graph that is lowered already. */
export const openModel = (model: OnnxModel, options: OpenOptions): Promise<Session> => {
  const { threads, device = "cpu", deviceId, folder, resident = [], fills = false } = options
  const lost = placement(model, device).find(({ place }) => place === "missing")
  if (lost !== undefined) {
    const { node, type } = lost
    throw new BugError({
      message: `${device} has no kernel for ${node.opType} of ${type}`,
      where: `node ${node.name}, which makes ${node.outputs[0]}`,
      why: "the runtime would run it on the CPU and copy its operands there and back in every step",
      hint: 'use device: "cpu" for this model and method'
    })
  }
  const rest = { ...(deviceId === undefined ? {} : { deviceId }), ...(resident.length === 0 ? {} : { resident }) }
  return Session.create(encode(model, { fills }), { threads, device, folder, ...rest })
}
