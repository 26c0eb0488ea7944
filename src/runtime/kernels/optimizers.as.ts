// @ts-nocheck: AssemblyScript, compiled as a part of kernels.as.ts, not by tsc.
// In-place updates of AdamW, Lion and SGD: p and the moments are changed, g is read and scaled by `clip` on the way.
// Formulas: src/graph/optimizer/. The conventions of kernels.as.ts hold.

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

/** 1, 0 or -1 by the sign of each lane. */
function sign(x: v128): v128 {
  const zero = f32x4.splat(0)
  const one = f32x4.splat(1)
  return f32x4.sub(v128.and(f32x4.gt(x, zero), one), v128.and(f32x4.lt(x, zero), one))
}

export function lion(
  p: usize,
  g: usize,
  m: usize,
  bytes: usize,
  clip: f32,
  decay: f32,
  beta1: f32,
  rest1: f32,
  beta2: f32,
  rest2: f32,
  learningRate: f32
): void {
  const clip4 = f32x4.splat(clip)
  const decay4 = f32x4.splat(decay)
  const beta14 = f32x4.splat(beta1)
  const rest14 = f32x4.splat(rest1)
  const beta24 = f32x4.splat(beta2)
  const rest24 = f32x4.splat(rest2)
  const rate4 = f32x4.splat(learningRate)
  for (let i: usize = 0; i < bytes; i += 16) {
    const g4 = f32x4.mul(v128.load(g + i), clip4)
    const m4 = v128.load(m + i)
    const direction = sign(f32x4.add(f32x4.mul(m4, beta14), f32x4.mul(g4, rest14)))
    const p4 = f32x4.mul(v128.load(p + i), decay4)
    v128.store(p + i, f32x4.sub(p4, f32x4.mul(rate4, direction)))
    v128.store(m + i, f32x4.add(f32x4.mul(m4, beta24), f32x4.mul(g4, rest24)))
  }
}

export function sgd(p: usize, g: usize, bytes: usize, clip: f32, weightDecay: f32, learningRate: f32): void {
  const clip4 = f32x4.splat(clip)
  const decay4 = f32x4.splat(weightDecay)
  const rate4 = f32x4.splat(learningRate)
  for (let i: usize = 0; i < bytes; i += 16) {
    const p4 = v128.load(p + i)
    const d4 = f32x4.add(f32x4.mul(v128.load(g + i), clip4), f32x4.mul(p4, decay4))
    v128.store(p + i, f32x4.sub(p4, f32x4.mul(rate4, d4)))
  }
}

export function sgdMomentum(
  p: usize,
  g: usize,
  m: usize,
  bytes: usize,
  clip: f32,
  weightDecay: f32,
  momentum: f32,
  learningRate: f32
): void {
  const clip4 = f32x4.splat(clip)
  const decay4 = f32x4.splat(weightDecay)
  const momentum4 = f32x4.splat(momentum)
  const rate4 = f32x4.splat(learningRate)
  for (let i: usize = 0; i < bytes; i += 16) {
    const p4 = v128.load(p + i)
    const d4 = f32x4.add(f32x4.mul(v128.load(g + i), clip4), f32x4.mul(p4, decay4))
    const m4 = f32x4.add(f32x4.mul(v128.load(m + i), momentum4), d4)
    v128.store(m + i, m4)
    v128.store(p + i, f32x4.sub(p4, f32x4.mul(rate4, m4)))
  }
}
