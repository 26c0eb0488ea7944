// Moves tensors between the host's arrays and a device's memory: a session of one node for each direction, type and shape, because
// the library has no other way that works (reading a device's tensor through its own method ends the process).
import { Graph } from "#src/graph/Graph.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import type { DType, Shape, TypedArray } from "#src/graph/Type.ts"
import type { Frozen } from "./Frozen.ts"
import { openSession } from "./openSession.ts"
import type { DeviceFeeds, Resident, Session } from "./Session.ts"

interface Options {
  readonly threads: number
  /** Default: cpu. */
  readonly device?: Target
}

export class DeviceCopies {
  readonly #options: Options
  readonly #sessions = new Map<string, Promise<Session>>()
  readonly #kept: Resident[] = []

  constructor({ threads, device }: Options) {
    this.#options = { threads, ...(device === undefined ? {} : { device }) }
  }

  /** A copy of an array on the device; the caller releases it. */
  async up(data: TypedArray, dtype: DType, shape: Shape): Promise<Resident> {
    const session = await this.#session("up", dtype, shape)
    return (await session.runResident({ x: data }))["y"] as Resident
  }

  /** Fills an array with a tensor of the device. */
  async down(from: Resident, into: TypedArray, dtype: DType, shape: Shape): Promise<void> {
    await (await this.#session("down", dtype, shape)).run({ x: from }, { y: into })
  }

  /** What sessions are fed with for frozen tensors: on the device where that has memory of its own, until `release`. */
  async feeds(frozen: readonly Frozen[]): Promise<DeviceFeeds> {
    const feeds: Record<string, TypedArray | Resident> = {}
    for (const { name, dtype, shape, data } of frozen.flatMap(({ inputs }) => inputs)) {
      // What lies in a file is part of the graph.
      if (!ArrayBuffer.isView(data)) continue
      feeds[name] = hasMemory(this.#options.device) ? await this.#keep(data, dtype, shape) : data
    }
    return feeds
  }

  async release(): Promise<void> {
    for (const tensor of this.#kept.splice(0)) tensor.release()
    const sessions = [...this.#sessions.values()]
    this.#sessions.clear()
    for (const session of sessions) await (await session).release()
  }

  async #keep(data: TypedArray, dtype: DType, shape: Shape): Promise<Resident> {
    const tensor = await this.up(data, dtype, shape)
    this.#kept.push(tensor)
    return tensor
  }

  #session(way: "up" | "down", dtype: DType, shape: Shape): Promise<Session> {
    const key = `${way} ${dtype} ${shape.join()}`
    const found = this.#sessions.get(key) ?? openSession(copyGraph(dtype, shape), { ...this.#options, resident: way === "up" ? ["y"] : [] })
    this.#sessions.set(key, found)
    return found
  }
}

const hasMemory = (device: Target = "cpu"): boolean => device === "webgpu"

/** Reshape copies more types than Identity does. */
const copyGraph = (dtype: DType, shape: Shape): Graph => {
  const graph = new Graph()
  graph.output("y", graph.add("Reshape", [graph.input("x", dtype, shape)], { shape })[0]!)
  return graph
}
