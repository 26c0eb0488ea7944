// @ts-nocheck: AssemblyScript, compiled as a part of kernels.as.ts, not by tsc.
// Adafactor's two passes over a tensor. Rows of a matrix need not begin at whole vectors; sums are float64 in the stated order.
// Formulas: src/graph/optimizer/adafactor.ts. g is scaled by `clip` on the way.

/** The first pass over a matrix: row and col are changed; `scratch` holds 8 bytes a column. Returns the sum of squares of the updates. */
export function adafactorMatrixSquares(
  g: usize,
  row: usize,
  col: usize,
  scratch: usize,
  rows: u32,
  columns: u32,
  clip: f32,
  epsilon: f32,
  beta2: f32,
  rest2: f32
): f64 {
  memory.fill(scratch, 0, (<usize>columns) << 3)
  for (let i: u32 = 0; i < rows; i++) {
    const sum = squaresOfRow(g + ((<usize>i * columns) << 2), scratch, columns, clip, epsilon)
    const at = row + ((<usize>i) << 2)
    store<f32>(at, load<f32>(at) * beta2 + <f32>(sum / <f64>columns) * rest2)
  }
  // The factors of the columns take the place of their sums, which lie further on.
  for (let j: u32 = 0; j < columns; j++) {
    const mean = <f32>(load<f64>(scratch + ((<usize>j) << 3)) / <f64>rows)
    const at = col + ((<usize>j) << 2)
    const mixed = load<f32>(at) * beta2 + mean * rest2
    store<f32>(at, mixed)
    store<f32>(scratch + ((<usize>j) << 2), <f32>1 / sqrt<f32>(mixed))
  }
  const mean = meanOf(row, rows)
  let squares: f64 = 0
  for (let i: u32 = 0; i < rows; i++) {
    const from = g + ((<usize>i * columns) << 2)
    squares += updatesOfRow(from, scratch, columns, clip, factorOf(row, i, mean))
  }
  return squares
}

/** The second pass, with the factors that the first has left in `scratch`: p is changed. */
export function adafactorMatrixMove(
  p: usize,
  g: usize,
  row: usize,
  scratch: usize,
  rows: u32,
  columns: u32,
  clip: f32,
  decay: f32,
  rate: f32
): void {
  const mean = meanOf(row, rows)
  const whole = columns & ~3
  for (let i: u32 = 0; i < rows; i++) {
    const factor = factorOf(row, i, mean)
    const offset = (<usize>i * columns) << 2
    for (let j: u32 = 0; j < whole; j += 4) {
      const at = (<usize>j) << 2
      const u4 = update4(g + offset + at, scratch + at, clip, factor)
      const p4 = f32x4.mul(v128.load(p + offset + at), f32x4.splat(decay))
      v128.store(p + offset + at, f32x4.sub(p4, f32x4.mul(f32x4.splat(rate), u4)))
    }
    for (let j = whole; j < columns; j++) {
      const at = (<usize>j) << 2
      const u = factor * load<f32>(scratch + at) * (load<f32>(g + offset + at) * clip)
      store<f32>(p + offset + at, load<f32>(p + offset + at) * decay - rate * u)
    }
  }
}

/** The first pass over a vector with its padding: v is changed. Returns the sum of squares of the updates, in the order of sumSquares. */
export function adafactorVectorSquares(g: usize, v: usize, bytes: usize, clip: f32, epsilon: f32, beta2: f32, rest2: f32): f64 {
  let low = f64x2.splat(0)
  let high = f64x2.splat(0)
  for (let i: usize = 0; i < bytes; i += 16) {
    const g4 = f32x4.mul(v128.load(g + i), f32x4.splat(clip))
    const q4 = f32x4.add(f32x4.mul(g4, g4), f32x4.splat(epsilon))
    const v4 = f32x4.add(f32x4.mul(v128.load(v + i), f32x4.splat(beta2)), f32x4.mul(q4, f32x4.splat(rest2)))
    v128.store(v + i, v4)
    const u4 = f32x4.mul(f32x4.div(f32x4.splat(1), f32x4.sqrt(v4)), g4)
    const first = f64x2.promote_low_f32x4(u4)
    const second = f64x2.promote_low_f32x4(v128.shuffle<i64>(u4, u4, 1, 1))
    low = f64x2.add(low, f64x2.mul(first, first))
    high = f64x2.add(high, f64x2.mul(second, second))
  }
  const sum = f64x2.add(low, high)
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1)
}

/** The second pass over a vector: p is changed. */
export function adafactorVectorMove(p: usize, g: usize, v: usize, bytes: usize, clip: f32, decay: f32, rate: f32): void {
  for (let i: usize = 0; i < bytes; i += 16) {
    const g4 = f32x4.mul(v128.load(g + i), f32x4.splat(clip))
    const u4 = f32x4.mul(f32x4.div(f32x4.splat(1), f32x4.sqrt(v128.load(v + i))), g4)
    const p4 = f32x4.mul(v128.load(p + i), f32x4.splat(decay))
    v128.store(p + i, f32x4.sub(p4, f32x4.mul(f32x4.splat(rate), u4)))
  }
}

/** Sum of g^2 + epsilon over one row in the order of sumSquares; each is added to its column's sum too. */
function squaresOfRow(g: usize, sums: usize, columns: u32, clip: f32, epsilon: f32): f64 {
  let low = f64x2.splat(0)
  let high = f64x2.splat(0)
  const whole = columns & ~3
  for (let j: u32 = 0; j < whole; j += 4) {
    const g4 = f32x4.mul(v128.load(g + ((<usize>j) << 2)), f32x4.splat(clip))
    const q4 = f32x4.add(f32x4.mul(g4, g4), f32x4.splat(epsilon))
    const first = f64x2.promote_low_f32x4(q4)
    const second = f64x2.promote_low_f32x4(v128.shuffle<i64>(q4, q4, 1, 1))
    const at = sums + ((<usize>j) << 3)
    v128.store(at, f64x2.add(v128.load(at), first))
    v128.store(at, f64x2.add(v128.load(at, 16), second), 16)
    low = f64x2.add(low, first)
    high = f64x2.add(high, second)
  }
  let a = f64x2.extract_lane(low, 0)
  let b = f64x2.extract_lane(low, 1)
  let c = f64x2.extract_lane(high, 0)
  for (let j = whole; j < columns; j++) {
    const x = load<f32>(g + ((<usize>j) << 2)) * clip
    const q = <f64>(x * x + epsilon)
    const at = sums + ((<usize>j) << 3)
    store<f64>(at, load<f64>(at) + q)
    if (j == whole) a += q
    else if (j == whole + 1) b += q
    else c += q
  }
  return a + c + (b + f64x2.extract_lane(high, 1))
}

/** Sum of squares of one row's updates in the order of sumSquares. */
function updatesOfRow(g: usize, factors: usize, columns: u32, clip: f32, factor: f32): f64 {
  let low = f64x2.splat(0)
  let high = f64x2.splat(0)
  const whole = columns & ~3
  for (let j: u32 = 0; j < whole; j += 4) {
    const at = (<usize>j) << 2
    const u4 = update4(g + at, factors + at, clip, factor)
    const first = f64x2.promote_low_f32x4(u4)
    const second = f64x2.promote_low_f32x4(v128.shuffle<i64>(u4, u4, 1, 1))
    low = f64x2.add(low, f64x2.mul(first, first))
    high = f64x2.add(high, f64x2.mul(second, second))
  }
  let a = f64x2.extract_lane(low, 0)
  let b = f64x2.extract_lane(low, 1)
  let c = f64x2.extract_lane(high, 0)
  for (let j = whole; j < columns; j++) {
    const at = (<usize>j) << 2
    const u = <f64>(factor * load<f32>(factors + at) * (load<f32>(g + at) * clip))
    if (j == whole) a += u * u
    else if (j == whole + 1) b += u * u
    else c += u * u
  }
  return a + c + (b + f64x2.extract_lane(high, 1))
}

function update4(g: usize, factors: usize, clip: f32, factor: f32): v128 {
  const g4 = f32x4.mul(v128.load(g), f32x4.splat(clip))
  return f32x4.mul(f32x4.mul(f32x4.splat(factor), v128.load(factors)), g4)
}

/** 1 / sqrt(row[i] / mean) */
function factorOf(row: usize, i: u32, mean: f32): f32 {
  return <f32>1 / sqrt<f32>(load<f32>(row + ((<usize>i) << 2)) / mean)
}

/** Mean of n numbers, summed in float64 in the order of sumSquares. */
function meanOf(x: usize, n: u32): f32 {
  let a: f64 = 0
  let b: f64 = 0
  let c: f64 = 0
  let d: f64 = 0
  for (let i: u32 = 0; i < n; i++) {
    const value = <f64>load<f32>(x + ((<usize>i) << 2))
    const lane = i & 3
    if (lane == 0) a += value
    else if (lane == 1) b += value
    else if (lane == 2) c += value
    else d += value
  }
  return <f32>((a + c + (b + d)) / <f64>n)
}
