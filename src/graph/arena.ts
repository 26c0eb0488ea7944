// ONNX Runtime's memory arena on the CPU (core/framework/bfc_arena.cc), for forecasts of memory: it takes regions from the system, each at
// least twice as large as the last, cuts chunks from their beginning, gives the smallest free chunk that fits, and gives nothing back. A
// region's pages count from when they are first used, so that its untouched end costs nothing.

/** Sizes are multiples of this. */
export const piece = 256
export const rounded = (bytes: number): number => Math.ceil(bytes / piece) * piece

const firstRegion = 2 ** 20
/** Larger requests get a region of their own size. */
const largestRegion = 2 ** 30
/** A chunk that is not twice as large as what is asked for is only cut where this much would be lost. */
const mostLost = 2 ** 27

interface Chunk {
  readonly region: number
  readonly at: number
  size: number
  free: boolean
  before: Chunk | undefined
  after: Chunk | undefined
}

export interface Arena {
  /** Takes memory; the result is to be given to `free`. */
  readonly take: (bytes: number) => Chunk
  readonly free: (chunk: Chunk) => void
  /** Sizes of the regions, as they were taken from the system. */
  readonly regions: () => readonly number[]
  /** Bytes that were in use at one time or another. */
  readonly touched: () => number
}

export const newArena = (): Arena => {
  let next = firstRegion
  const regions: number[] = []
  const touched: number[] = []
  // Free chunks of the same size class: the smallest that fits is searched in one class after the other.
  const bins = Array.from({ length: 21 }, () => new Set<Chunk>())
  const binOf = (size: number): number => Math.min(bins.length - 1, Math.floor(Math.log2(size / piece)))
  const release = (chunk: Chunk): void => {
    chunk.free = true
    bins[binOf(chunk.size)]!.add(chunk)
  }
  const remove = (chunk: Chunk): void => void bins[binOf(chunk.size)]!.delete(chunk)
  const isBetter = (a: Chunk, b: Chunk): boolean =>
    a.size < b.size || (a.size === b.size && (a.region < b.region || (a.region === b.region && a.at < b.at)))
  const find = (bytes: number): Chunk | undefined => {
    for (let bin = binOf(bytes); bin < bins.length; bin++) {
      let best: Chunk | undefined
      for (const chunk of bins[bin]!) if (chunk.size >= bytes && (best === undefined || isBetter(chunk, best))) best = chunk
      if (best !== undefined) return best
    }
    return undefined
  }
  const add = (bytes: number): void => {
    regions.push(bytes)
    release({ region: touched.length, at: 0, size: bytes, free: true, before: undefined, after: undefined })
    touched.push(0)
  }
  const extend = (bytes: number): void => {
    if (bytes > largestRegion) {
      add(bytes)
      return
    }
    const isLarger = bytes > next
    while (bytes > next) next = Math.min(2 * next, largestRegion)
    add(next)
    if (!isLarger) next = Math.min(2 * next, largestRegion)
  }
  const merge = (first: Chunk, second: Chunk): void => {
    first.size += second.size
    first.after = second.after
    if (second.after !== undefined) second.after.before = first
  }
  return {
    take: (bytes) => {
      const size = Math.max(piece, rounded(bytes))
      let chunk = find(size)
      if (chunk === undefined) {
        extend(size)
        chunk = find(size)!
      }
      remove(chunk)
      if (chunk.size >= 2 * size || chunk.size - size >= mostLost) {
        const rest: Chunk = {
          region: chunk.region,
          at: chunk.at + size,
          size: chunk.size - size,
          free: true,
          before: chunk,
          after: chunk.after
        }
        if (chunk.after !== undefined) chunk.after.before = rest
        chunk.after = rest
        chunk.size = size
        release(rest)
      }
      chunk.free = false
      touched[chunk.region] = Math.max(touched[chunk.region]!, chunk.at + size)
      return chunk
    },
    free: (chunk) => {
      let whole = chunk
      const { after, before } = chunk
      if (after?.free === true) {
        remove(after)
        merge(chunk, after)
      }
      if (before?.free === true) {
        remove(before)
        merge(before, chunk)
        whole = before
      }
      release(whole)
    },
    regions: () => regions,
    touched: () => touched.reduce((sum, bytes) => sum + bytes, 0)
  }
}
