// @ts-nocheck: AssemblyScript, compiled by scripts/build.ts to dist/kernels.wasm, not by tsc.
// In-place SIMD kernels of the CPU optimizer over float32 arrays in shared memory. Every array starts at a multiple of
// 16 bytes and is padded with zeros to whole vectors of 4; `bytes` counts the padding. Base SIMD has no
// fused multiply-add and fixed rounding, so the bytes are the same on every machine. Formulas: src/graph/optimizer/.
export * from "./adafactor.as"
export * from "./optimizers.as"

/** Sum of squares in float64: lane k sums the elements k, k + 4, k + 8 …; then (0 + 2) + (1 + 3). */
export function sumSquares(a: usize, bytes: usize): f64 {
  let low = f64x2.splat(0)
  let high = f64x2.splat(0)
  for (let i: usize = 0; i < bytes; i += 16) {
    const x = v128.load(a + i)
    const first = f64x2.promote_low_f32x4(x)
    const second = f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 1))
    low = f64x2.add(low, f64x2.mul(first, first))
    high = f64x2.add(high, f64x2.mul(second, second))
  }
  const sum = f64x2.add(low, high)
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1)
}

/** a += b */
export function accumulate(a: usize, b: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += 16) v128.store(a + i, f32x4.add(v128.load(a + i), v128.load(b + i)))
}

/** g += lambda (p - p0) */
export function pull(g: usize, p: usize, p0: usize, bytes: usize, lambda: f32): void {
  const lambda4 = f32x4.splat(lambda)
  for (let i: usize = 0; i < bytes; i += 16) {
    const away = f32x4.sub(v128.load(p + i), v128.load(p0 + i))
    v128.store(g + i, f32x4.add(v128.load(g + i), f32x4.mul(lambda4, away)))
  }
}

/** The finaliser of splitmix64. */
function mix(x: u64): u64 {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb
  return x ^ (x >> 31)
}

/** Numbers 2 pair and 2 pair + 1 of a stream: the low and the high half of splitmix64(stream + pair). */
function draw(stream: u64, pair: u32): u64 {
  return mix(stream + (<u64>pair + 1) * 0x9e3779b97f4a7c15)
}

/** Key of what one document draws at one site. */
function streamOf(site: u64, document: u64): u64 {
  return mix(site ^ mix(document))
}

/** The numbers from .. from + count of a stream as a mask: 0 where a number is below `threshold`, else `kept`. */
function mask(a: usize, from: u32, count: u32, stream: u64, threshold: u32, kept: f32): void {
  const end = from + count
  let i = from
  if (i < end && (i & 1) == 1) {
    store<f32>(a, <u32>(draw(stream, i >> 1) >> 32) < threshold ? 0 : kept)
    a += 4
    i++
  }
  for (; i + 1 < end; i += 2, a += 8) {
    const x = draw(stream, i >> 1)
    store<f32>(a, <u32>x < threshold ? 0 : kept)
    store<f32>(a, <u32>(x >> 32) < threshold ? 0 : kept, 4)
  }
  if (i < end) store<f32>(a, <u32>draw(stream, i >> 1) < threshold ? 0 : kept)
}

/** Dropout mask of a document's numbers from .. from + count; `threshold` is the dropped share times 2^32. */
export function dropoutMask(a: usize, from: u32, count: u32, site: u64, document: u64, threshold: u32, kept: f32): void {
  mask(a, from, count, streamOf(site, document), threshold, kept)
}

/**
 * Dropout mask of a document's attention weights, in heads [queries, keys] from its first query's row on. Query q, the document's
 * own count, looks at `prefix` places at the row's begin and at the q + 1 places from prefix + start on; what lies outside is left.
 */
export function attentionMask(
  a: usize,
  heads: u32,
  queries: u32,
  keys: u32,
  prefix: u32,
  start: u32,
  length: u32,
  site: u64,
  document: u64,
  threshold: u32,
  kept: f32
): void {
  const key = streamOf(site, document)
  for (let head: u32 = 0; head < heads; head++) {
    for (let q: u32 = 0; q < length; q++) {
      const row = a + 4 * (<usize>head * queries + q) * keys
      const stream = mix(key + (((<u64>head) << 32) | q))
      mask(row, 0, prefix, stream, threshold, kept)
      mask(row + 4 * (prefix + start), prefix, q + 1, stream, threshold, kept)
    }
  }
}

/** Noise of a document: its numbers 0 .. count, uniform between -magnitude and magnitude. */
export function uniformNoise(a: usize, count: u32, site: u64, document: u64, magnitude: f32): void {
  const stream = streamOf(site, document)
  const unit = magnitude / 2147483648
  for (let i: u32 = 0; i < count; i++) {
    const x = draw(stream, i >> 1)
    store<f32>(a + 4 * i, <f32>(i & 1 ? <i32>(x >> 32) : <i32>x) * unit)
  }
}
