// Random numbers without state: each one is a function of (seed, stream, index), so nothing has to be saved to go on later.
// The generator is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").

const block = new Uint32Array(4)

/** High 32 bits of the 64-bit product of two unsigned 32-bit numbers. */
const mulHigh = (a: number, b: number): number => {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const lowHigh = aLow * bHigh
  const highLow = aHigh * bLow
  const carry = ((aLow * bLow) >>> 16) + (lowHigh & 0xffff) + (highLow & 0xffff)
  return (aHigh * bHigh + (lowHigh >>> 16) + (highLow >>> 16) + (carry >>> 16)) >>> 0
}

/**
 * One block of four unsigned 32-bit words for a 128-bit counter and a 64-bit key.
 * The returned array is used again by the next call: read it at once.
 */
export const philox = (c0: number, c1: number, c2: number, c3: number, k0: number, k1: number): Uint32Array => {
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(0xd2511f53, c0 >>> 0)
    const high1 = mulHigh(0xcd9e8d57, c2 >>> 0)
    const low0 = Math.imul(0xd2511f53, c0)
    const low1 = Math.imul(0xcd9e8d57, c2)
    c0 = high1 ^ c1 ^ k0
    c1 = low1
    c2 = high0 ^ c3 ^ k1
    c3 = low0
    k0 = (k0 + 0x9e3779b9) | 0
    k1 = (k1 + 0xbb67ae85) | 0
  }
  block[0] = c0
  block[1] = c1
  block[2] = c2
  block[3] = c3
  return block
}

/** FNV-1a over UTF-16 code units. */
const hashText = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** An unsigned 32-bit number for a seed and a path of streams (a name, an epoch, a row …); use it as the seed or stream of another call. */
export const hash32 = (seed: number, ...streams: readonly (number | string)[]): number =>
  streams.reduce<number>((hash, stream, depth) => {
    const [low, high] = typeof stream === "string" ? [hashText(stream), stream.length] : [stream, stream / 0x1_0000_0000]
    return philox(low, high, depth, 1, hash, 0)[0] as number
  }, seed >>> 0)

const draw = (seed: number, stream: number, index: number): Uint32Array => philox(index, index / 0x1_0000_0000, stream, 0, seed, 0)

const unit = (high: number, low: number): number => ((high >>> 5) * 0x400_0000 + (low >>> 6)) / 2 ** 53

/** Uniform in [0, 1), 53 bits. `seed` and `stream` are unsigned 32-bit, `index` a whole number below 2^53. */
export const uniform = (seed: number, stream: number, index: number): number => {
  const words = draw(seed, stream, index)
  return unit(words[0] as number, words[1] as number)
}

/** Standard normal (Box and Muller 1958). */
export const normal = (seed: number, stream: number, index: number): number => {
  const words = draw(seed, stream, index)
  const radius = Math.sqrt(-2 * Math.log(1 - unit(words[0] as number, words[1] as number)))
  return radius * Math.cos(2 * Math.PI * unit(words[2] as number, words[3] as number))
}

/** 0 .. n-1 in random order (Fisher and Yates); entry i is the item that comes i-th. */
export const permutation = (seed: number, stream: number, n: number): Uint32Array => {
  const order = Uint32Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(uniform(seed, stream, i) * (i + 1))
    const item = order[i] as number
    order[i] = order[j] as number
    order[j] = item
  }
  return order
}
