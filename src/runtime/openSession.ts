// A session for a graph on a device. Where the device would leave a node to the CPU without a word, it is an error instead.
import { BugError } from "#src/domain/Errors.ts"
import type { Graph } from "#src/graph/Graph.ts"
import { encode } from "#src/graph/onnx/encode.ts"
import { lower } from "#src/graph/onnx/lower.ts"
import { placement } from "#src/graph/onnx/placement.ts"
import { Session, type SessionOptions } from "./Session.ts"

/** @throws BugError where the device has no kernel for a node */
export const openSession = (graph: Graph, { threads, device = "cpu", resident = [] }: SessionOptions): Promise<Session> => {
  const model = lower(graph, device)
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
  return Session.create(encode(model), { threads, device, folder: graph.folder, ...(resident.length === 0 ? {} : { resident }) })
}
