// The random inputs of training graphs: one array per input, shared by all shapes, filled anew for each micro-batch. A number is a
// function of (seed, step, input, document, position within it, feature or looked-at position), so that neither batching, padding
// and packing nor the cut into micro-batches changes it. Entries of padding keep old numbers: they change no loss and no gradient.
import type { Place } from "#src/batching/place.ts"
import type { RowSizes, TokenRows } from "#src/batching/rows.ts"
import type { BatchShape } from "#src/batching/shapes.ts"
import { hash32 } from "#src/domain/random.ts"
import type { RandomInput } from "./regularize.ts"
import type { Feeds } from "./Session.ts"
import { type ArrayGroup, sharedArrays } from "./SharedArrays.ts"

const sizeOf = ({ shape }: RandomInput): number => shape.reduce((product, n) => product * n, 1)

/** 64 bits for a seed and a path of streams. */
const key = (seed: number, ...streams: readonly (number | string)[]): bigint =>
  (BigInt(hash32(seed, ...streams, 1)) << 32n) | BigInt(hash32(seed, ...streams, 0))

export interface RandomOptions {
  readonly seed: number
  readonly rows: TokenRows
  readonly sizes: RowSizes
  /** Rows of a batch. */
  readonly batchSize: number
}

/** A document in a batch as the fills need it. */
interface Document extends Place {
  readonly key: bigint
  /** Places that the model reads of it. */
  readonly length: number
  /** Its tokens, the last one included. */
  readonly tokens: number
  /** Flat position of its first target among those of the batch, and their places within the document. */
  readonly target: number
  readonly targets: readonly number[]
}

export class RandomArrays {
  readonly #options: RandomOptions
  readonly #arrays: ReadonlyMap<string, ArrayGroup & { readonly site: bigint }>

  /** `inputs`: those of every graph that will be filled. */
  constructor(options: RandomOptions, inputs: readonly RandomInput[]) {
    const sizes = new Map<string, number>()
    for (const input of inputs) sizes.set(input.name, Math.max(sizes.get(input.name) ?? 0, sizeOf(input)))
    const groups = sharedArrays([...sizes.values()], 1)
    this.#options = options
    this.#arrays = new Map([...sizes.keys()].map((name, i) => [name, { ...groups[i]!, site: key(options.seed, "random", name) }]))
  }

  /** The arrays of a graph's inputs, by name. */
  feeds(inputs: readonly RandomInput[]): Feeds {
    return Object.fromEntries(inputs.map((input) => [input.name, this.#arrays.get(input.name)!.arrays[0]!.subarray(0, sizeOf(input))]))
  }

  /** Fills a graph's inputs for the documents at `places`. */
  fill(inputs: readonly RandomInput[], shape: BatchShape, places: readonly Place[], step: number): void {
    if (inputs.length === 0) return
    const documents = this.#documents(places, step)
    for (const input of inputs) {
      const group = this.#arrays.get(input.name)!
      for (const document of documents) this.#fillOne(input, group, shape, document)
    }
  }

  #documents(places: readonly Place[], step: number): readonly Document[] {
    const { seed, rows, sizes } = this.#options
    let target = 0
    return places.map((place) => {
      const from = rows.offsets[place.row] as number
      const length = sizes.lengths[place.row] as number
      const targets = Array.from({ length }, (_, t) => t).filter((t) => rows.mask[from + t + 1] === 1)
      const document = { ...place, key: key(seed, "document", step, place.row), length, target, targets }
      target += targets.length
      return { ...document, tokens: (rows.offsets[place.row + 1] as number) - from }
    })
  }

  #fillOne(input: RandomInput, { kernels, addresses, site }: ArrayGroup & { readonly site: bigint }, shape: BatchShape, d: Document): void {
    const { amount, shape: dims } = input
    const base = addresses[0] as number
    const [threshold, kept] = [amount * 2 ** 32, 1 / (1 - amount)]
    switch (input.kind) {
      case "place":
      case "noise": {
        const [rows = 0, width = 0] = dims
        // Virtual tokens stand in front of the row's own and belong to its one document.
        const length = rows / this.#options.batchSize
        const virtual = length - shape.length
        const at = base + 4 * width * (d.line * length + d.start)
        const count = (virtual + d.length) * width
        if (input.kind === "place") kernels.dropoutMask(at, 0, count, site, d.key, threshold, kept)
        else kernels.uniformNoise(at, count, site, d.key, amount / Math.sqrt(d.tokens * width))
        return
      }
      case "target": {
        const width = dims[1] as number
        d.targets.forEach((t, i) => kernels.dropoutMask(base + 4 * width * (d.target + i), t * width, width, site, d.key, threshold, kept))
        return
      }
      case "attention": {
        const [, heads = 0, queries = 0, keys = 0] = dims
        const virtual = queries - shape.length
        const prefix = keys - queries
        const at = base + 4 * (d.line * heads * queries * keys + d.start * keys)
        kernels.attentionMask(at, heads, queries, keys, prefix, d.start, virtual + d.length, site, d.key, threshold, kept)
      }
    }
  }
}
