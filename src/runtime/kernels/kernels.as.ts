// @ts-nocheck: AssemblyScript, compiled by scripts/build.ts to dist/kernels.wasm, not by tsc.
// In-place SIMD kernels of the CPU optimizer over float32 arrays in shared memory. Every array starts at a multiple of
// 16 bytes and is padded with zeros to whole vectors of 4; `bytes` counts the padding. Base SIMD has no
// fused multiply-add and fixed rounding, so the bytes are the same on every machine. Formulas: src/graph/optimizer.ts.

/** One AdamW update: p, m, v are changed, g is read and scaled by `clip` on the way. */
export function adamw(
  p: usize,
  g: usize,
  m: usize,
  v: usize,
  bytes: usize,
  clip: f32,
  decay: f32,
  beta1: f32,
  rest1: f32,
  beta2: f32,
  rest2: f32,
  stepSize: f32,
  rootBias: f32,
  epsilon: f32
): void {
  const clip4 = f32x4.splat(clip)
  const decay4 = f32x4.splat(decay)
  const beta14 = f32x4.splat(beta1)
  const rest14 = f32x4.splat(rest1)
  const beta24 = f32x4.splat(beta2)
  const rest24 = f32x4.splat(rest2)
  const step4 = f32x4.splat(stepSize)
  const root4 = f32x4.splat(rootBias)
  const epsilon4 = f32x4.splat(epsilon)
  for (let i: usize = 0; i < bytes; i += 16) {
    const g4 = f32x4.mul(v128.load(g + i), clip4)
    const m4 = f32x4.add(f32x4.mul(v128.load(m + i), beta14), f32x4.mul(g4, rest14))
    const v4 = f32x4.add(f32x4.mul(v128.load(v + i), beta24), f32x4.mul(f32x4.mul(g4, g4), rest24))
    const denominator = f32x4.add(f32x4.div(f32x4.sqrt(v4), root4), epsilon4)
    const p4 = f32x4.mul(v128.load(p + i), decay4)
    v128.store(m + i, m4)
    v128.store(v + i, v4)
    v128.store(p + i, f32x4.sub(p4, f32x4.mul(step4, f32x4.div(m4, denominator))))
  }
}

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

/**
 * Dropout mask from a counter: the pair i of values takes the low and the high half of splitmix64(key + i);
 * a value is 0 where its half is below `threshold` (the dropped share times 2^32), else `kept`.
 */
export function dropoutMask(a: usize, bytes: usize, key: u64, threshold: u32, kept: f32): void {
  let counter = key
  for (let i: usize = 0; i < bytes; i += 8) {
    counter += 0x9e3779b97f4a7c15
    let x = counter
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb
    x ^= x >> 31
    store<f32>(a + i, <u32>x < threshold ? 0 : kept)
    store<f32>(a + i, <u32>(x >> 32) < threshold ? 0 : kept, 4)
  }
}
