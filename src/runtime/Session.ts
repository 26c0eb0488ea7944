// A thin wrapper over ONNX Runtime's session with the options that training needs, and the only file that imports it.
// run() blocks its thread: sessions live in a worker thread.
import { InferenceSession, Tensor } from "onnxruntime-node"
import { BugError, EnvironmentError } from "#src/domain/Errors.ts"
import type { AnnealError } from "#src/domain/Errors.ts"
import { notReturned } from "#src/graph/onnx/encode.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { underneath } from "#src/graph/onnx/underneath.ts"
import type { TypedArray } from "#src/graph/Type.ts"

// The library reports its use to its makers unless it is told not to before the first session. Unset, not 0: whoever runs anneal may say otherwise.
process.env["ORT_DISABLE_TELEMETRY"] ??= "1"

export interface SessionOptions {
  /** Threads of one op; results do not depend on it. */
  readonly threads: number
  /** What the graph was lowered for. Default: cpu. */
  readonly device?: Target
  /** Which one of several CUDA devices; default 0. */
  readonly deviceId?: number
  /** The folder of the files that hold tensors of the model (Graph.external). */
  readonly folder?: string | undefined
  /** Outputs that stay in the device's memory. */
  readonly resident?: readonly string[]
  /** Path prefix of a profile (JSON: node order and times), written on release. */
  readonly profile?: string
}

/** Arrays by name. Inputs are read in place, SharedArrayBuffer or not; their shapes are the model's. */
export type Feeds = Readonly<Record<string, TypedArray>>

type Arrays = Record<string, TypedArray>

/** A tensor in the memory of a device: what one session leaves there, another one reads. Its memory is given back by `release` only. */
export class Resident {
  readonly #tensor: Tensor

  constructor(tensor: Tensor) {
    this.#tensor = tensor
  }

  get tensor(): Tensor {
    return this.#tensor
  }

  release(): void {
    this.#tensor.dispose()
  }
}

/** Arrays of the host, and tensors that lie on the device. */
export type DeviceFeeds = Readonly<Record<string, TypedArray | Resident>>

/** The runtime's own error in one line, as one of ours. */
const toError = (u: unknown, where: string): AnnealError => {
  const message = (u instanceof Error ? u.message : String(u)).replaceAll(/\s+/g, " ").trim()
  if (/bad_alloc|allocate memory|out of memory/i.test(message))
    return new EnvironmentError({ message, where, hint: "lower batchSize or maxLength" })
  if (/CUDA failure|shared library/i.test(message))
    return new EnvironmentError({ message, where, hint: 'anneal doctor tells what CUDA lacks here; or use device: "cpu"' })
  return new BugError({ message, where, why: "ONNX Runtime refused a graph or its inputs" })
}

interface Slot {
  readonly type: Tensor.Type
  readonly shape: readonly number[]
}

const slots = (metadata: readonly InferenceSession.ValueMetadata[]): ReadonlyMap<string, Slot> =>
  new Map(
    metadata.flatMap((value) => {
      if (value.name === notReturned) return []
      if (!value.isTensor) throw new BugError({ message: `${value.name} is no tensor`, where: "session" })
      return [[value.name, { type: value.type, shape: value.shape.map(Number) }]]
    })
  )

/** What the library says to a result that is no tensor. */
const refusal = "Non tensor type is temporarily not supported."

/** The library's names of what stays in a device's memory. */
const deviceMemory = "gpu-buffer"

/** A Tensor over the caller's memory. The constructor wants a Float16Array for float16 where the platform has one: the type is set after. */
const view = (name: string, data: TypedArray, { type, shape }: Slot): Tensor => {
  try {
    if (type !== "float16") return new Tensor(type, data as Tensor.DataType, shape)
    const tensor = new Tensor("uint16", data as Uint16Array, shape)
    return Object.defineProperty(tensor, "type", { value: "float16" })
  } catch (u) {
    throw toError(u, `${name} ${type} [${shape.join(",")}]`)
  }
}

/** Only CUDA is asked for by number. */
const provider = ({ device = "cpu", deviceId = 0 }: SessionOptions): InferenceSession.ExecutionProviderConfig =>
  device === "cuda" ? { name: device, deviceId } : device

export class Session {
  readonly #session: InferenceSession
  readonly #inputs: ReadonlyMap<string, Slot>
  readonly #outputs: ReadonlyMap<string, Slot>
  /** Results are written into the caller's arrays and not copied besides. */
  readonly #fills: boolean
  readonly #profiles: boolean

  private constructor(session: InferenceSession, profiles: boolean) {
    this.#session = session
    this.#profiles = profiles
    this.#inputs = slots(session.inputMetadata)
    this.#outputs = slots(session.outputMetadata)
    this.#fills = session.outputNames.includes(notReturned)
  }

  /**
   * Loads a model's bytes (onnx/encode.ts). The graph runs as it was written: no optimisation level, because folding and fusion would
   * copy frozen weights and change the order of execution; no prepacking, because it copies every weight once per use; no memory
   * pattern, because its block comes on top of the arena.
   */
  static async create(model: Uint8Array, options: SessionOptions): Promise<Session> {
    // float32 is to mean float32: the provider lets products round their operands to the 10 bits of TF32. Processes of stages have this from their
    // start (cudaEnvironment.ts), others from here.
    if (options.device === "cuda" && process.env["NVIDIA_TF32_OVERRIDE"] !== "0") process.env["NVIDIA_TF32_OVERRIDE"] = "0"
    try {
      const session = await InferenceSession.create(model, {
        executionProviders: [provider(options)],
        graphOptimizationLevel: "disabled",
        executionMode: "sequential",
        enableMemPattern: false,
        intraOpNumThreads: options.threads,
        interOpNumThreads: 1,
        // Errors are thrown; the native log would print them a second time.
        logSeverityLevel: 4,
        extra: {
          "session.disable_prepacking": "1",
          // Weights get memory of their own size there, not a share of what the arena doubles.
          ...(options.device === "cuda" ? { "session.use_device_allocator_for_initializers": "1" } : {}),
          ...(options.folder === undefined ? {} : { "session.model_external_initializers_file_folder_path": options.folder })
        },
        ...(options.resident === undefined
          ? {}
          : { preferredOutputLocation: Object.fromEntries(options.resident.map((name) => [name, deviceMemory])) }),
        ...(options.profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: options.profile })
      })
      return new Session(session, options.profile !== undefined)
    } catch (u) {
      throw toError(u, "loading a graph")
    }
  }

  get inputNames(): readonly string[] {
    return [...this.#inputs.keys()]
  }
  get outputNames(): readonly string[] {
    return [...this.#outputs.keys()]
  }

  /**
   * Runs the graph for the named outputs. Fetches are names, or arrays by name that are filled in place (the library also makes a copy
   * of each, which is dropped, unless the model was encoded to fill arrays). Returns the arrays by name.
   */
  async run(feeds: DeviceFeeds, fetches: readonly string[] | Readonly<Arrays>): Promise<Arrays> {
    const tensors = this.#tensors(feeds)
    if (isNames(fetches)) {
      const results = await this.#call(tensors, fetches)
      return Object.fromEntries(fetches.map((name) => [name, results[name]!.data as TypedArray]))
    }
    const targets = Object.fromEntries(
      Object.entries(fetches).flatMap(([name, data]) =>
        this.#inArrayOf(name).map((each) => [each, view(each, data, this.#slot(this.#outputs, each))])
      )
    )
    const copies = await this.#call(tensors, this.#fills ? { [notReturned]: null, ...targets } : targets)
    for (const [name, { data }] of Object.entries(copies)) free(data as TypedArray, fetches[name] as TypedArray)
    return { ...fetches }
  }

  /** Runs the graph for all its outputs: those that were made to stay on the device are tensors there, the others arrays. */
  async runResident(feeds: DeviceFeeds): Promise<Record<string, TypedArray | Resident>> {
    const results = await this.#call(this.#tensors(feeds), this.outputNames)
    return Object.fromEntries(
      Object.entries(results).map(([name, tensor]) => [
        name,
        tensor.location === deviceMemory ? new Resident(tensor as Tensor) : (tensor.data as TypedArray)
      ])
    )
  }

  /** Frees the session's memory; writes the profile where one was asked for. */
  async release(): Promise<void> {
    if (this.#profiles) this.#session.endProfiling()
    await this.#session.release()
  }

  #tensors(feeds: DeviceFeeds): Record<string, Tensor> {
    return Object.fromEntries(
      Object.entries(feeds).map(([name, data]) => [
        name,
        data instanceof Resident ? data.tensor : view(name, data, this.#slot(this.#inputs, name))
      ])
    )
  }

  async #call(
    feeds: Record<string, Tensor>,
    fetches: readonly string[] | InferenceSession.NullableOnnxValueMapType
  ): Promise<InferenceSession.ReturnType> {
    try {
      return await this.#session.run(feeds, fetches)
    } catch (u) {
      // After the run.
      if (notReturned in fetches && u instanceof Error && u.message === refusal) return {}
      throw toError(u, "running a graph")
    }
  }

  /** The outputs that lie in the array of `name`: itself, and what lies under it. */
  #inArrayOf(name: string): readonly string[] {
    const under = underneath(name)
    return [name, ...(this.#outputs.has(under) ? this.#inArrayOf(under) : [])]
  }

  #slot(slots: ReadonlyMap<string, Slot>, name: string): Slot {
    const slot = slots.get(name)
    if (slot === undefined) {
      throw new BugError({ message: `the graph has no ${name}`, where: "session", why: `it has ${[...slots.keys()].join(", ")}` })
    }
    return slot
  }
}

// Detaching gives the memory back at once, for the next run's copies: the collector would leave it to pile up.
const free = (copy: TypedArray, own: TypedArray): void => {
  if (copy.buffer instanceof ArrayBuffer && copy.buffer !== own.buffer) copy.buffer.transfer(0)
}

const isNames = (fetches: readonly string[] | Readonly<Arrays>): fetches is readonly string[] => Array.isArray(fetches)
