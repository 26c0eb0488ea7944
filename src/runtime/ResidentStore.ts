// A Store in a device's memory: weights, gradients and moments stay there from step to step, the arithmetic runs as graphs
// (stateGraphs.ts). The host sees the loss and the norm of each step; weights and moments come back for checkpoints and the result.
import type { Graph } from "#src/graph/Graph.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import type { Optimizer } from "#src/graph/optimizer.ts"
import type { Shape } from "#src/graph/Type.ts"
import { blockValues } from "./blocks.ts"
import { DeviceCopies } from "./DeviceCopies.ts"
import { openSession } from "./openSession.ts"
import type { ParamStore, Trainable } from "./ParamStore.ts"
import type { DeviceFeeds, Resident, Session } from "./Session.ts"
import { factorName, factorsOf, normGraph, pullGraph, requireGraphForm, stateName, sumGraph, updateGraph } from "./stateGraphs.ts"
import type { Store } from "./Store.ts"
import { names } from "./trainNames.ts"
import { groupsOf, type Rates } from "./updateTensor.ts"

/**
 * What lies on the device of one tensor: p; g; sum, of a step's micro-batches, where there are several; p0, the initial weight, where it
 * is kept; and the optimizer's state by its keys.
 */
type Held = Record<string, Resident>

interface Slot {
  readonly trainable: Trainable
  readonly held: Held
}

export interface ResidentOptions {
  readonly device: Target
  readonly threads: number
  /** A step sums several micro-batches. */
  readonly accumulates: boolean
  /** That of the host's store. */
  readonly optimizer: Optimizer
}

export class ResidentStore implements Store {
  readonly resident: readonly string[]
  readonly #host: ParamStore
  readonly #options: ResidentOptions
  readonly #copies: DeviceCopies
  readonly #slots: readonly Slot[]
  readonly #blocks: readonly (readonly Slot[])[]
  readonly #sessions = new Map<string, Promise<Session>>()

  /** `host` holds the first values, and takes the last ones. @throws DefinitionError where the optimizer has no such form */
  constructor(host: ParamStore, options: ResidentOptions) {
    this.#host = host
    this.#options = options
    this.#copies = new DeviceCopies(options)
    requireGraphForm(options.optimizer, options.device)
    this.#slots = host.trainables.map((trainable) => ({ trainable, held: {} }))
    this.#blocks = blocksOf(this.#slots)
    this.resident = host.trainables.map(({ name }) => names.gradient(name))
  }

  get trainables(): readonly Trainable[] {
    return this.#host.trainables
  }
  get size(): number {
    return this.#host.size
  }

  parameters(): DeviceFeeds {
    return Object.fromEntries(this.#slots.map(({ trainable, held }) => [trainable.name, held["p"]!]))
  }

  async fill(session: Session, feeds: DeviceFeeds, nll: Float32Array): Promise<void> {
    const results = await session.runResident(feeds)
    nll.set(results[names.nll] as Float32Array)
    for (const { trainable, held } of this.#slots) replace(held, "g", results[names.gradient(trainable.name)] as Resident)
  }

  async clear(): Promise<void> {
    for (const { trainable, held } of this.#slots) {
      replace(held, "g", await this.#up(new Float32Array(trainable.p.length), trainable.shape))
    }
  }

  async accumulate(first: boolean): Promise<void> {
    if (!this.#options.accumulates) return
    for (const [at, block] of this.#blocks.entries()) {
      if (first) for (const { held } of block) replace(held, "sum", take(held, "g"))
      else {
        const results = await this.#run("sum", at, block, ["sum", "g"], () => sumGraph(tensorsOf(block)))
        for (const { trainable, held } of block) replace(held, "sum", made(results, "new", trainable))
      }
    }
  }

  async pull(lambda: number): Promise<void> {
    const kinds = ["p", "p0", ["g", this.#gradient]] as const
    for (const [at, block] of this.#blocks.entries()) {
      const results = await this.#run("pull", at, block, kinds, () => pullGraph(tensorsOf(block)), { lambda: Float32Array.of(lambda) })
      for (const { trainable, held } of block) replace(held, this.#gradient, made(results, "new", trainable))
    }
  }

  async gradNorm(): Promise<number> {
    let squares = 0
    for (const [at, block] of this.#blocks.entries()) {
      const { norm } = await this.#run("norm", at, block, [["g", this.#gradient]], () => normGraph(tensorsOf(block)))
      squares += scalarOf(norm) ** 2
    }
    return Math.sqrt(squares)
  }

  async update(ratesOf: (trainable: Trainable) => Rates, t: number, clip: number): Promise<number> {
    const { optimizer } = this.#options
    const { groups, groupOf } = groupsOf(this.trainables.map(ratesOf))
    const factors = groups.flatMap((rates, group) =>
      Object.entries(factorsOf(optimizer, rates, t)).map(([name, value]) => [factorName(group, name), Float32Array.of(value)] as const)
    )
    let [change, size, first] = [0, 0, 0]
    for (const [at, block] of this.#blocks.entries()) {
      const tensors = tensorsOf(block).map((tensor, i) => ({ ...tensor, group: groupOf[first + i] as number }))
      first += block.length
      const used = new Set(tensors.map(({ group }) => group))
      const feeds = {
        clip: Float32Array.of(clip),
        ...Object.fromEntries(factors.filter(([name]) => used.has(Number(name.split(".").at(-1)))))
      }
      const kinds = ({ state }: Trainable) => ["p", ["g", this.#gradient] as const, ...state.map(({ key }) => key)]
      const key = `update ${tensors.map(({ group }) => group).join()}`
      const results = await this.#run(key, at, block, kinds, () => updateGraph(optimizer, tensors), feeds)
      change += scalarOf(results["change"])
      size += scalarOf(results["size"])
      for (const { trainable, held } of block) {
        for (const kind of ["p", ...trainable.state.map(({ key }) => key)]) replace(held, kind, made(results, `new.${kind}`, trainable))
        for (const kind of ["g", "sum"]) if (held[kind] !== undefined) take(held, kind).release()
      }
    }
    return size === 0 ? Number(change > 0) : Math.sqrt(change / size)
  }

  async toDevice(): Promise<void> {
    const initial = this.#host.initial()
    for (const [i, { trainable, held }] of this.#slots.entries()) {
      replace(held, "p", await this.#up(trainable.p, trainable.shape))
      for (const { key, data, shape } of trainable.state) replace(held, key, await this.#up(data, shape))
      if (initial !== undefined) replace(held, "p0", await this.#up(initial[i]!, trainable.shape))
    }
  }

  async toHost(): Promise<void> {
    for (const { trainable, held } of this.#slots) {
      await this.#copies.down(held["p"]!, trainable.p, "float32", trainable.shape)
      for (const { key, data, shape } of trainable.state) await this.#copies.down(held[key]!, data, "float32", shape)
    }
  }

  async release(): Promise<void> {
    for (const { held } of this.#slots) for (const tensor of Object.values(held)) tensor.release()
    for (const session of this.#sessions.values()) await (await session).release()
    await this.#copies.release()
  }

  /** What holds the gradient of the whole step. */
  get #gradient(): "g" | "sum" {
    return this.#options.accumulates ? "sum" : "g"
  }

  #up(data: Float32Array, shape: Shape): Promise<Resident> {
    return this.#copies.up(data, "float32", shape)
  }

  /** Runs a graph of a block, made once, over what is held of its tensors; a pair: the graph's name for it, and what is held. */
  async #run(
    key: string,
    at: number,
    block: readonly Slot[],
    kinds: readonly Kind[] | ((trainable: Trainable) => readonly Kind[]),
    graphOf: () => Graph,
    feeds: DeviceFeeds = {}
  ): Promise<Record<string, unknown>> {
    const held = block.flatMap(({ trainable, held }) =>
      (typeof kinds === "function" ? kinds(trainable) : kinds).map((kind) => {
        const [name, from] = typeof kind === "string" ? [kind, kind] : kind
        return [stateName(name, trainable.name), held[from]!] as const
      })
    )
    const found = this.#sessions.get(`${at} ${key}`) ?? this.#open(graphOf())
    this.#sessions.set(`${at} ${key}`, found)
    return (await found).runResident({ ...Object.fromEntries(held), ...feeds })
  }

  #open(graph: Graph): Promise<Session> {
    const scalars = new Set(["norm", "change", "size"])
    return openSession(graph, { ...this.#options, resident: graph.outputs.flatMap(({ name }) => (scalars.has(name) ? [] : [name])) })
  }
}

type Kind = string | readonly [name: string, held: string]

const tensorsOf = (block: readonly Slot[]) => block.map(({ trainable: { name, shape } }) => ({ name, shape }))

const made = (results: Record<string, unknown>, kind: string, { name }: Trainable): Resident => results[stateName(kind, name)] as Resident

const scalarOf = (result: unknown): number => (result as Float32Array)[0] as number

const replace = (held: Held, kind: string, by: Resident): void => {
  held[kind]?.release()
  held[kind] = by
}

const take = (held: Held, kind: string): Resident => {
  const tensor = held[kind] as Resident
  delete held[kind]
  return tensor
}

const blocksOf = (slots: readonly Slot[]): readonly (readonly Slot[])[] => {
  const blocks: Slot[][] = []
  let values = Infinity
  for (const slot of slots) {
    const { length } = slot.trainable.p
    if (values + length > blockValues) {
      blocks.push([])
      values = 0
    }
    blocks.at(-1)!.push(slot)
    values += length
  }
  return blocks
}
