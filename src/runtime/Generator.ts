// Continues prompts token by token with a key/value cache, several rows beside each other, greedy or sampled.
import { DataError } from "#src/domain/Errors.ts"
import type { Graph } from "#src/graph/Graph.ts"
import type { Target } from "#src/graph/onnx/Lowering.ts"
import { DeviceCopies } from "./DeviceCopies.ts"
import { KeyValueCache, type Present } from "./KeyValueCache.ts"
import { openSession } from "./openSession.ts"
import type { Runnable } from "./RunnableModel.ts"
import { type Choice, chooseToken } from "./sampling.ts"
import type { DeviceFeeds, Feeds, Session } from "./Session.ts"
import { decodeGraph, names, promptGraph } from "./stepGraph.ts"

export interface GenerateOptions extends Choice {
  readonly maxNewTokens: number
  /** Ids that end an answer. */
  readonly eosTokenIds: readonly number[]
  /** Called for each token of prompt `row` as it is chosen, not for one that ends the answer. What it throws ends the generation. */
  readonly onToken?: (row: number, id: number) => void
  /** Called after each batch with the prompts done so far; what it throws ends the generation. */
  readonly onRows?: (done: number) => void
}

export interface GeneratorOptions {
  /** Prompts beside each other, at most. */
  readonly batchSize: number
  readonly threads: number
  /** Default: cpu. */
  readonly device?: Target
  /** Which one of several of that kind. */
  readonly deviceId?: number
}

/** `ids` are without the prompt and without the token that ended it; "length": maxNewTokens, or the model's longest text, was reached. */
export interface Generated {
  readonly ids: readonly number[]
  readonly finish: "eos" | "length"
}

interface Row {
  readonly index: number
  /** Tokens of the prompt: the first ones of `ids`. */
  readonly prompt: number
  readonly ids: number[]
  finish: "eos" | "length" | undefined
}

/** Prompt lengths and cache capacities are multiples of this, so that few graphs are built. */
const multiple = 32
const roundUp = (n: number): number => Math.ceil(n / multiple) * multiple

export class Generator {
  readonly #runnable: Runnable
  readonly #options: GeneratorOptions
  readonly #copies: DeviceCopies
  /** The model's tensors, where the device has them. */
  #parameters: Promise<DeviceFeeds> | undefined
  #prompt: { readonly shape: string; readonly session: Session } | undefined
  /** By shape. All stay open, because every batch goes through the same capacities again and a step needs little memory. */
  readonly #decoders = new Map<string, Session>()

  /** Places of the adapter in front of each prompt: the first ones of the cache. */
  readonly #inFront: number
  /** Tokens that a text can have. */
  readonly #longest: number

  constructor(runnable: Runnable, options: GeneratorOptions) {
    this.#runnable = runnable
    this.#inFront = runnable.adapter?.numVirtualTokens ?? 0
    this.#longest = runnable.model.config.max_position_embeddings - this.#inFront
    this.#options = options
    this.#copies = new DeviceCopies(options)
  }

  /**
   * The continuation of each prompt (ids), in the order of the prompts. Rows do not influence each other.
   * @throws DataError where a prompt is empty or longer than the model reads
   */
  async generate(prompts: readonly (readonly number[])[], options: GenerateOptions): Promise<readonly Generated[]> {
    prompts.forEach((prompt, row) => this.#check(prompt, row))
    const rows = prompts.map((prompt, index): Row => ({ index, prompt: prompt.length, ids: [...prompt], finish: undefined }))
    // Prompts of like length lie beside each other; longest first, so that the cache's largest size is met at the start.
    const order = rows.toSorted((a, b) => b.prompt - a.prompt)
    for (let done = 0; done < order.length; done += this.#options.batchSize) {
      const batch = order.slice(done, done + this.#options.batchSize)
      await this.#batch(batch, options)
      options.onRows?.(done + batch.length)
    }
    return rows.map(({ prompt, ids, finish }) => ({ ids: ids.slice(prompt), finish: finish ?? "length" }))
  }

  /** Frees the sessions; the generator can be used again. */
  async release(): Promise<void> {
    await this.#prompt?.session.release()
    this.#prompt = undefined
    for (const session of this.#decoders.values()) await session.release()
    this.#decoders.clear()
    this.#parameters = undefined
    await this.#copies.release()
  }

  async #batch(rows: readonly Row[], options: GenerateOptions): Promise<void> {
    const { model } = this.#runnable
    const longest = rows.reduce((most, { prompt }) => Math.max(most, prompt), 0)
    const length = Math.min(roundUp(longest), this.#longest)
    const first = await this.#readPrompts(rows, length)
    const cache = new KeyValueCache(model.config, rows.length, this.#inFront + 2 * length)
    // Places that each row has in the cache; a finished row computes on without effect until the others are done.
    const used = rows.map(({ prompt }) => this.#inFront + prompt)
    const none = rows.map(() => 0)
    cache.append(first.present, this.#inFront + length, none, used)
    let logits = first.logits
    for (;;) {
      rows.forEach((row, b) => this.#choose(row, logits.subarray(b * model.vocabSize, (b + 1) * model.vocabSize), options))
      if (rows.every(({ finish }) => finish !== undefined)) return
      if (Math.max(...used) === cache.capacity) cache.grow(2 * cache.capacity)
      const step = await this.#decode(rows, cache, used)
      const going = rows.map(({ finish }) => (finish === undefined ? 1 : 0))
      cache.append(step.present, 1, used, going)
      going.forEach((n, b) => (used[b] = (used[b] as number) + n))
      logits = step.logits
    }
  }

  #choose(row: Row, logits: Float32Array, options: GenerateOptions): void {
    if (row.finish !== undefined) return
    const id = chooseToken(logits, row.ids, row.index, options)
    if (options.eosTokenIds.includes(id)) {
      row.finish = "eos"
      return
    }
    row.ids.push(id)
    options.onToken?.(row.index, id)
    const most = Math.min(row.prompt + options.maxNewTokens, this.#longest)
    if (row.ids.length >= most) row.finish = "length"
  }

  async #readPrompts(rows: readonly Row[], length: number): Promise<Step> {
    const ids = new BigInt64Array(rows.length * length)
    rows.forEach((row, b) => row.ids.forEach((id, t) => (ids[b * length + t] = BigInt(id))))
    const last = BigInt64Array.from(rows, ({ prompt }, b) => BigInt(b * length + prompt - 1))
    return this.#run(await this.#promptSession(rows.length, length), { [names.ids]: ids, [names.last]: last })
  }

  async #decode(rows: readonly Row[], cache: KeyValueCache, used: readonly number[]): Promise<Step> {
    const past = Object.fromEntries([
      ...cache.keys.map((key, layer) => [names.pastKey(layer), key] as const),
      ...cache.values.map((value, layer) => [names.pastValue(layer), value] as const)
    ])
    return this.#run(await this.#decodeSession(rows.length, cache.capacity), {
      ...past,
      [names.ids]: BigInt64Array.from(rows, ({ ids }) => BigInt(ids.at(-1) ?? 0)),
      [names.positions]: BigInt64Array.from(used, BigInt),
      [names.mask]: cache.mask
    })
  }

  async #run(session: Session, feeds: Feeds): Promise<Step> {
    const { model, parameters } = this.#runnable
    const held = await (this.#parameters ??= this.#copies.feeds(parameters))
    const layers = Array.from({ length: model.config.num_hidden_layers }, (_, layer) => layer)
    const fetches = [names.logits, ...layers.map(names.key), ...layers.map(names.value)]
    const found = await session.run({ ...held, ...feeds }, fetches)
    const arrays = (name: (layer: number) => string): Float32Array[] => layers.map((layer) => found[name(layer)] as Float32Array)
    return { logits: found[names.logits] as Float32Array, present: { keys: arrays(names.key), values: arrays(names.value) } }
  }

  /** One at a time: prompts come longest first, so a length that is over does not come back. */
  async #promptSession(rows: number, length: number): Promise<Session> {
    const shape = `${rows} x ${length}`
    if (this.#prompt?.shape === shape) return this.#prompt.session
    await this.#prompt?.session.release()
    this.#prompt = undefined
    const session = await this.#create(promptGraph(this.#runnable, rows, length))
    this.#prompt = { shape, session }
    return session
  }

  async #decodeSession(rows: number, capacity: number): Promise<Session> {
    const shape = `${rows} x ${capacity}`
    const session = this.#decoders.get(shape) ?? (await this.#create(decodeGraph(this.#runnable, rows, capacity)))
    this.#decoders.set(shape, session)
    return session
  }

  #create(graph: Graph): Promise<Session> {
    return openSession(graph, { ...this.#options, steady: false })
  }

  #check(prompt: readonly number[], row: number): void {
    if (prompt.length > 0 && prompt.length < this.#longest) return
    const { max_position_embeddings: most } = this.#runnable.model.config
    const taken = this.#inFront === 0 ? "" : `, of which the adapter takes ${this.#inFront}`
    throw new DataError({
      message: prompt.length === 0 ? "an empty prompt: nothing to continue" : `a prompt of ${prompt.length} tokens: too long`,
      where: `prompt ${row + 1}`,
      ...(prompt.length === 0 ? {} : { why: `the model's max_position_embeddings is ${most}${taken}` }),
      hint: prompt.length === 0 ? "give a prompt of one token or more" : "shorten the prompt"
    })
  }
}

interface Step {
  /** [B, V] */
  readonly logits: Float32Array
  readonly present: Present
}
